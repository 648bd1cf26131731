"""Programs of every kind that docs/border.md names compile against limpid, and the others are refused by a message.
(That each header compiles alone, headers.py tests.)

matrix.py COMPILER INCLUDE_DIRS LIBRARY [--self-test]: COMPILER is g++ or a clang++-VERSION that README.md names; where
it is not installed, this is skipped. INCLUDE_DIRS are separated by colons.
"""
import re
import shutil
import sys
import tempfile
from pathlib import Path

from check import ROOT, first_lines, in_parallel, is_public, report, run, skip, sources

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wsign-conversion", "-Wshadow", "-Werror"]
# The macros that Qt and C99 bring into every file that includes their headers.
MACROS = """#include <complex.h>
#ifndef I
#define I _Complex_I
#endif
#define signals public
#define slots
#define emit
#define foreach(variable, container) for (variable : container)
#define forever for (;;)
"""
REFUSED = {  # flag: what the message names
    "-std=c++17": "-std=c++20",
    "-fno-exceptions": "-fno-exceptions",
    "-fno-rtti": "-fno-rtti",
    "-D_GLIBCXX_DEBUG": "_GLIBCXX_DEBUG",
    "-DLIMPID_GLIBCXX_DEBUG": "_GLIBCXX_DEBUG",  # as an installed package says that was built so
    "-D_GLIBCXX_USE_CXX11_ABI=0": "_GLIBCXX_USE_CXX11_ABI",
}


def standard(compiler, year):
    """-std=c++23 is -std=c++2b to older clangs."""
    older = {"c++23": "c++2b", "gnu++23": "gnu++2b"}
    known = run([compiler, f"-std={year}", "-fsyntax-only", "-x", "c++", "/dev/null"]).returncode == 0
    return f"-std={year if known else older[year]}"


def including(headers, before=""):
    return before + "".join(f"#include <limpid/{header}>\n" for header in headers) + "int main() {}\n"


def rows(compiler, headers):
    """(name, flags, text of a file that must compile)"""
    third = len(headers) // 3
    return [
        ("C++20", ["-std=c++20", *STRICT], including(headers)),
        ("C++23, in reverse order", [standard(compiler, "c++23"), *STRICT], including(headers[::-1])),
        ("GNU's C++20 beside the macros of Qt and complex.h", ["-std=gnu++20", *STRICT],
         including(headers[third:] + headers[:third], MACROS)),
        ("GNU's C++23 with _GLIBCXX_ASSERTIONS", [standard(compiler, "gnu++23"), "-D_GLIBCXX_ASSERTIONS"],
         including(["limpid.hpp"])),
    ]


def fault_of_row(compiler, includes, row):
    name, flags, text = row
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.cpp")
        file.write_text(text)
        result = run([compiler, *flags, *includes, "-fsyntax-only", file])
    return [f"{name}: {compiler} {' '.join(flags)}:\n{first_lines(result.stdout)}"] if result.returncode else []


def fault_of_refusal(compiler, includes, flag, text, named):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "a.cpp")
        file.write_text(text)
        result = run([compiler, "-std=c++20", flag, *includes, "-fsyntax-only", "-Wfatal-errors", file])
    if result.returncode == 0:
        return [f"{flag}: expected {compiler} to refuse it, but it compiles"]
    first = next((line for line in result.stdout.splitlines() if "error" in line), "")
    if not re.search(r"limpid: .*expected", first) or named not in first:
        return [f"{flag}: expected {compiler} to begin with an error of limpid's that names {named}, got: {first}"]
    return []


def links_lto(compiler):
    """clang leaves link-time optimisation to a plugin of the linker, which may be a package of its own."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.cpp").write_text("int main() {}\n")
        return run([compiler, "-flto", "a.cpp", "-o", "a"], cwd=folder).returncode == 0


def programs(compiler, lto):
    """(name, flags): each program of tests/programs is built one way."""
    return [
        ("files", ["-std=c++20", "-D_GLIBCXX_ASSERTIONS", "-fvisibility=hidden"]),
        ("normalise", ["-std=c++20", "-O2", "-DNDEBUG"]),
        ("prove", [standard(compiler, "c++23"), "-O1"]),
        ("trace", ["-std=gnu++20", "-O2"]),
        ("train", ["-std=gnu++20", "-O1", *(["-flto"] if lto else [])]),
    ]


def fault_of_program(compiler, includes, library, program, flags):
    with tempfile.TemporaryDirectory() as folder:
        built = run([compiler, *flags, *includes, program, library, f"-Wl,-rpath,{Path(library).parent}", "-o", "a"],
                    cwd=folder)
        if built.returncode:
            return [f"{program.name}: {compiler} {' '.join(flags)}:\n{first_lines(built.stdout)}"]
        ran = run(["./a"], cwd=folder, timeout=120)
        return [f"{program.name} {' '.join(flags)}: ends with {ran.returncode}:\n{first_lines(ran.stdout)}"] \
            if ran.returncode else []


def is_named(compiler):
    """Whether README.md tells users of this compiler."""
    version = re.search(r"clang\+\+-(\d+)$", compiler)
    sentence = re.search(r"Compilers: ([^.]*)", (ROOT / "README.md").read_text())[1]
    return not version or re.search(rf"clang[^.]*\b{version[1]}\b", sentence)


def self_test(compiler, includes, library):
    wrong = []

    def expect(what, faults, faulty):
        if bool(faults) != faulty:
            wrong.append(f"{what}: expected {'a fault' if faulty else 'no fault'}, got {faults}")

    for what, text, faulty in [
            ("a plain file", "int main() {}\n", False),
            ("a conversion", "int f(double x) { return x; }\n", True),
            ("a shadow", "int f(int x) { if (x) { int x = 1; return x; } return x; }\n", True),
            ("a GNU extension", "int f(int n) { int a[n]; return sizeof a; }\n", True)]:
        expect(what, fault_of_row(compiler, [], (what, ["-std=c++20", *STRICT], text)), faulty)
    for what, text in [("a name of complex.h", "template <int I> int f() { return I; }\n"),
                       ("a name of Qt", "struct S { int slots; };\n"), ("another", "void foreach();\n")]:
        expect(what, fault_of_row(compiler, [], (what, ["-std=gnu++20", *STRICT], MACROS + text)), True)
    refusal = '#ifdef _GLIBCXX_DEBUG\n#error "limpid: no _GLIBCXX_DEBUG: expected none"\n#endif\n'
    for what, text, faulty in [("refused", refusal, False), ("accepted", "", True), ("refused by luck", "error;\n", True),
                               ("another message first", '#error "another"\n' + refusal, True)]:
        expect(what, fault_of_refusal(compiler, [], "-D_GLIBCXX_DEBUG", text, "_GLIBCXX_DEBUG"), faulty)
    with tempfile.TemporaryDirectory() as folder:
        for name, text, faulty in [
                ("passes", "int main() {}\n", False), ("fails", "int main() { return 1; }\n", True),
                ("asks for what is hidden", "namespace limpid { void hidden(); } int main() { limpid::hidden(); }\n", True)]:
            program = Path(folder, "a.cpp")
            program.write_text(text)
            expect(name, fault_of_program(compiler, includes, library, program, ["-std=c++20"]), faulty)
    report(wrong, "rows told apart")


compiler, include_dirs, library, *mode = sys.argv[1:]
if not shutil.which(compiler):
    skip(f"{compiler} is not installed")
includes = [f"-I{folder}" for folder in include_dirs.split(":")]
if mode == ["--self-test"]:
    self_test(compiler, includes, library)
headers = [str(h.relative_to(ROOT)) for h in sources(".hpp") if is_public(h.relative_to(ROOT))]
headers = [h for h in headers if not h.startswith("autograd/testing/")]  # it needs Catch2; see package.py's programs
lto = links_lto(compiler)
checks = [(fault_of_row, (compiler, includes, row)) for row in rows(compiler, headers)]
checks += [(fault_of_refusal, (compiler, includes, flag, including(["limpid.hpp"]), named))
           for flag, named in REFUSED.items()]
checks += [(fault_of_program, (compiler, includes, library, ROOT / f"tests/programs/{name}.cpp", flags))
           for name, flags in programs(compiler, lto)]
faults = [fault for found in in_parallel(lambda check: check[0](*check[1]), checks) for fault in found]
if not is_named(compiler):
    faults.append(f"expected README.md to name {compiler} among the compilers")
report(faults, f"{compiler}: {len(checks)} rows" + ("" if lto else ", without LTO (no LLVMgold.so)"))
