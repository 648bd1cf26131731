"""What the checks of libraries share: their symbols, and the names these stand for."""
import re
import subprocess

from check import run

SPECIAL = re.compile(r"^(vtable|typeinfo name|typeinfo|VTT|construction vtable|guard variable|TLS (?:init|wrapper) function"
                     r"|(?:non-virtual |virtual |covariant return )?thunk)(?: for| to)? ")


def symbols(arguments, path):
    """{mangled: demangled} of what nm lists."""
    listed = run(["nm", *arguments, path])
    assert listed.returncode == 0, listed.stdout
    mangled = [line.split()[-1].split("@")[0] for line in listed.stdout.splitlines() if line and not line.endswith(":")]
    demangled = subprocess.run(["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True)
    return dict(zip(mangled, demangled.stdout.splitlines()))


def qualified_name(demangled):
    """limpid::detail::f of 'int limpid::detail::f<int>(std::vector<int>)'; of a static in a function, the function's."""
    name = SPECIAL.sub("", demangled).replace("(anonymous namespace)", "{anonymous}").replace("operator()", "operator_call")
    name = re.sub(r"operator(<=>|<<=?|>>=?|<=|>=|<|>|->\*?)", "operator_sign", name)
    depth, plain = 0, ""  # without template arguments and parameters
    for c in name:
        if c == "<":
            depth += 1
        elif c == ">":
            depth -= 1
        elif depth == 0 and c == "(":
            break
        elif depth == 0:
            plain += c
    plain = re.sub(r"\[abi:\w+\]", "", plain).strip()
    if "operator " in plain:  # a conversion: its type is no name of limpid's
        plain = plain.split("operator ")[0] + "operator"
    return plain.split(" ")[-1].lstrip("*&")  # without the return type
