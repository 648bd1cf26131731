"""What the checks of libraries share: their symbols, and the names these stand for."""
import re
import subprocess

from check import run

SPECIAL = re.compile(r"^(vtable|typeinfo name|typeinfo|VTT|construction vtable|guard variable|TLS (?:init|wrapper) function"
                     r"|(?:non-virtual |virtual |covariant return )?thunk)(?: for| to)? ")


def demangled(mangled):
    """{mangled: demangled} of these."""
    mangled = list(mangled)
    result = subprocess.run(["c++filt"], input="\n".join(mangled), capture_output=True, text=True, check=True)
    return dict(zip(mangled, result.stdout.splitlines()))


def symbols(arguments, path):
    """{mangled: demangled} of what nm lists."""
    listed = run(["nm", *arguments, path])
    assert listed.returncode == 0, listed.stdout
    return demangled(line.split()[-1].split("@")[0] for line in listed.stdout.splitlines() if line and not line.endswith(":"))


def global_names(path):
    """{mangled: whether it is defined} of the names that an object shares; readelf takes a tenth of nm's time."""
    listed = run(["readelf", "-sW", path])
    assert listed.returncode == 0, listed.stdout
    rows = [line.split() for line in listed.stdout.splitlines()]
    return {row[7]: row[6] != "UND" for row in rows if len(row) == 8 and row[4] in ("GLOBAL", "WEAK", "UNIQUE")}


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
