"""Other libraries of the process may hold what limpid is made of: neither side sees the other's.

neighbours.py COMPILER INCLUDE_DIRS LIBRARY [--self-test]: LIBRARY is the shared library, not stripped.

- A library with its own xtensor and nlohmann, set up otherwise, prints as it is set up; limpid prints as ever.
- Whatever function of another library limpid holds a copy of, it is that copy that it calls: a library that has each by
  the same name, and traps, is preloaded, and none is hit.
"""
import os
import re
import sys
import tempfile
from pathlib import Path

from check import ROOT, first_lines, report, run
from elf import qualified_name, symbols

HERE = ROOT / "tests/checks/neighbour"
HELD = re.compile(r"^(xt|xtl|xsimd|mpark|dnnl|fmt|spdlog|nlohmann)::|^backtrace_")


def dependencies(library):
    """The shared libraries that it loads."""
    return re.findall(r"=> (/\S+)", run(["ldd", library]).stdout)


def held(library):
    """Mangled names of what the library holds of others: not of what it calls in a shared library of theirs."""
    found = {mangled for mangled, demangled in symbols(["--defined-only"], library).items()
             if HELD.match(qualified_name(demangled)) and "." not in mangled}
    for dependency in dependencies(library):
        found -= symbols(["-D", "--defined-only"], dependency).keys()
    return sorted(found)


def build(compiler, folder, arguments):
    built = run([compiler, *arguments], cwd=folder)
    return [f"{compiler} {' '.join(map(str, arguments))}:\n{first_lines(built.stdout)}"] if built.returncode else []


def fault_of_traps(compiler, folder, library, program):
    names = held(library)
    Path(folder, "traps.c").write_text("".join(
        f'void trap{i}(void) __asm__("{name}");\nvoid trap{i}(void) {{ __builtin_trap(); }}\n'
        for i, name in enumerate(names)))
    faults = build(compiler, folder, ["-x", "c", "-fPIC", "-shared", "-w", "traps.c", "-o", "libtraps.so"])
    if faults:
        return faults
    ran = run([program, "alone"], cwd=folder, timeout=120, env={**os.environ, "LD_PRELOAD": f"{folder}/libtraps.so"})
    if ran.returncode:
        return [f"beside a library that traps in its {len(names)} names: ends with {ran.returncode}:\n"
                f"{first_lines(ran.stdout)}"]
    return []


def faults_of(compiler, includes, library, folder, main=HERE / "program.cpp", neighbour=HERE / "neighbour.cpp"):
    flags = ["-std=c++20", "-O0", *includes]
    limpid = [library, f"-Wl,-rpath,{Path(library).parent}"]
    other = [f"-L{folder}", f"-Wl,-rpath,{folder}", "-lneighbour"]
    faults = build(compiler, folder, [*flags, "-fPIC", "-shared", neighbour, "-o", "libneighbour.so"])
    faults += build(compiler, folder, [*flags, "-c", main, "-o", "main.o"])
    if faults:
        return faults
    for name, order in {"first": [*limpid, *other], "second": [*other, *limpid]}.items():
        faults += build(compiler, folder, ["main.o", *order, "-o", name])
        if not faults:
            ran = run([f"{folder}/{name}"], cwd=folder, timeout=120)
            if ran.returncode:
                faults.append(f"limpid linked {name}: ends with {ran.returncode}:\n{first_lines(ran.stdout)}")
    return faults or fault_of_traps(compiler, folder, library, f"{folder}/first")


def self_test(compiler):
    """Libraries that hold a function of another's: one hides it, one calls whichever copy there is."""
    neighbour = "namespace xt {{ {} int precision() {{ return 2; }} }}\nint neighbour() {{ return xt::precision(); }}\n"
    library = "namespace xt {{ {} int precision() {{ return 1; }} }}\nint ours() {{ return xt::precision(); }}\n"
    # The program meets xt::precision of neither side, or of both.
    main = "int ours(); int neighbour();\nint main(int n, char**) { return ours() != 1 || (n == 1 && neighbour() != 2); }\n"
    alone = "int ours();\nint main() { return ours() != 1; }\n"
    hidden, seen = '[[gnu::visibility("hidden")]]', "[[gnu::weak]]"
    wrong = []
    for name, ours, theirs, text, faulty in [("hidden", hidden, hidden, main, False), ("seen", seen, seen, main, True),
                                             ("seen by a trap", seen, hidden, alone, True)]:
        with tempfile.TemporaryDirectory() as folder:
            for file, content in [("ours.cpp", library.format(ours)), ("neighbour.cpp", neighbour.format(theirs)),
                                  ("main.cpp", text)]:
                Path(folder, file).write_text(content)
            assert not build(compiler, folder, ["-fPIC", "-shared", "ours.cpp", "-o", "libours.so"])
            faults = faults_of(compiler, [], f"{folder}/libours.so", folder, Path(folder, "main.cpp"),
                               Path(folder, "neighbour.cpp"))
            if bool(faults) != faulty:
                wrong.append(f"{name}: expected {'a fault' if faulty else 'no fault'}, got {faults}")
    report(wrong, "libraries told apart")


compiler, include_dirs, library, *mode = sys.argv[1:]
if mode == ["--self-test"]:
    self_test(compiler)
count = len(held(library))
if not count:
    sys.exit(f"expected {library} to hold functions of others, got none: is it stripped?")
with tempfile.TemporaryDirectory() as folder:
    faults = faults_of(compiler, [f"-I{folder}" for folder in include_dirs.split(":")], library, folder)
report(faults, f"a neighbour with its own xtensor, and one that traps in {count} names, change nothing")
