"""The C++ of README.md and docs/*.md compiles, and whole programs among it run.

snippets.py COMPILER INCLUDE_DIRS LIBRARY [CATCH_MAIN]: a ```cpp block with an int main (or CATCH_CONFIG_MAIN) is a
program; any other is the body of a function that includes limpid.hpp and uses its namespace, and that is called where it
stands in docs/layers; ```cpp ignore is left alone. CATCH_MAIN: the library of what CATCH_CONFIG_MAIN compiles,
which takes five times as long as a test.
"""
import re
import sys
import tempfile
from pathlib import Path

from check import ROOT, first_lines, in_parallel, matching, must_find, report, run

BLOCK = re.compile(r"^```cpp *([^\n]*)\n(.*?)^```", re.M | re.S)


def snippets(root):
    """(file:line, text) of each block."""
    list_of = matching if root == ROOT else lambda folder, pattern: sorted(folder.glob(pattern))
    for page in list_of(root, "README.md") + list_of(root, "docs/**/*.md"):
        text = page.read_text()
        for block in BLOCK.finditer(text):
            if block[1].strip() != "ignore":
                yield f"{page.relative_to(root)}:{text.count(chr(10), 0, block.start()) + 1}", block[2]


def is_program(text):
    return re.search(r"\bint main\b|\bCATCH_CONFIG_MAIN\b", text)


def program(bodies):
    """One program of these, each a function."""
    includes = [line for _, text in bodies for line in text.splitlines() if line.startswith("#include")]
    functions, calls = [], []
    for i, (where, text) in enumerate(bodies):
        page, line = where.rsplit(":", 1)
        body = ["" if line.startswith("#include") else line for line in text.splitlines()]
        functions += [f"[[maybe_unused]] static void snippet{i}() {{", f'#line {int(line) + 1} "{page}"', *body, "}"]
        calls += [f"snippet{i}();"] * page.startswith("docs/layers/")
    return "\n".join(["#include <limpid/limpid.hpp>", *includes, "using namespace limpid;", *functions, f"int main() {{ {' '.join(calls)} }}", ""])


def programs(root):
    """(where, text): each whole program, and one of all others; but each that includes something is by itself, lest it
    lend that to the rest."""
    alone, together = [], []
    for where, text in snippets(root):
        if is_program(text):
            alone.append((where, text))
        elif "#include" in text:
            alone.append((where, program([(where, text)])))
        else:
            together.append((where, text))
    return alone + ([("statements", program(together))] if together else [])


def fault_of(compiler, includes, library, catch_main, where, text):
    test = catch_main and re.search(r"^#define CATCH_CONFIG_MAIN.*\n", text, re.M)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "a.cpp").write_text(text.replace(test[0], "\n") if test else text)
        built = run([compiler, "-std=c++20", *(f"-I{include}" for include in includes.split(":")), "a.cpp",
                     *([catch_main] if test else []), library, f"-Wl,-rpath,{Path(library).parent}", "-o", "a"], cwd=folder)
        if built.returncode:
            return f"{where}: does not compile:\n{first_lines(built.stdout)}"
        ran = run(["./a"], cwd=folder, timeout=120)
        return f"{where}: ends with {ran.returncode}:\n{first_lines(ran.stdout)}" if ran.returncode else None


def faults_of(root, *with_what):
    return [fault for fault in in_parallel(lambda s: fault_of(*with_what, *s), programs(root)) if fault]


arguments = [argument for argument in sys.argv[1:] if argument != "--self-test"]
with_what = [*arguments, ""][:4]
if "--self-test" in sys.argv:
    fence = "```"
    tests = [(name, {"docs/a.md": f"{fence}cpp\n#define CATCH_CONFIG_MAIN  // one\n#include <catch2/catch.hpp>\n"
                                  f'TEST_CASE("1") {{ CHECK(1 == {number}); }}\n{fence}\n'}, number != 1)
             for name, number in [("a test", 1), ("a test that fails", 2)]]
    must_find((tests if with_what[3] else []) + [
        ("a statement", {"README.md": f"text\n{fence}cpp\nint x = 1;\n++x;\n{fence}\n"}, False),
        ("a wrong statement", {"README.md": f"{fence}cpp\nint x = nothing;\n{fence}\n"}, True),
        ("a wrong one in docs", {
            "docs/a/b.md": f"{fence}cpp\nint x = 1;\n{fence}\n{fence}cpp\n1 = 2;\n{fence}\n"}, True),
        ("a wrong one ignored", {"docs/a.md": f"{fence}cpp ignore\nint x = nothing;\n{fence}\n"}, False),
        ("another language", {"docs/a.md": f"{fence}sh\nls\n{fence}\n"}, False),
        ("a program", {"docs/a.md": f"{fence}cpp\nint main() {{ return 0; }}\n{fence}\n"}, False),
        ("a program that fails", {"docs/a.md": f"{fence}cpp\nint main() {{ return 1; }}\n{fence}\n"}, True),
        ("a call that fails", {"docs/layers/a.md": f"{fence}cpp\nthrow 1;\n{fence}\n"}, True),
        ("one that is not made", {"docs/a.md": f"{fence}cpp\nthrow 1;\n{fence}\n"}, False),
        ("a body with an include", {
            "docs/a.md": f"{fence}cpp\n#include <map>\nstd::map<int, int> m;\n{fence}\n"}, False),
    ], lambda root: faults_of(root, *with_what))
count = len(list(snippets(ROOT)))
if not count:
    sys.exit("expected snippets, got none")
report(faults_of(ROOT, *with_what), f"{count} snippets compile")
