"""A class of one name is defined once in a namespace. Two would be one to the linker, which takes the destructor or an
inline member of either for both, and no compiler says so. definitions.py [--self-test]"""
import re
import sys

from check import ROOT, must_find, report, sources

# As clang-format has them: at the beginning of a line, and closed there.
OPENS = re.compile(r"^(?:inline )?namespace(?: LIMPID_API)?(?: ([\w:]+))? \{$")
CLOSES = re.compile(r"^\} *// namespace")
CLASS = re.compile(r"^(?:struct|class)(?: LIMPID_\w+)? (\w+)(?: final)?(?: :.*)? \{")


def definitions(text):
    """The names of the classes that a file defines in named namespaces."""
    scopes = []
    for line in text.splitlines():
        if opened := OPENS.match(line):
            scopes.append(opened[1])
        elif CLOSES.match(line) and scopes:
            scopes.pop()
        elif (found := CLASS.match(line)) and None not in scopes:
            yield "::".join([*scopes, found[1]])


def faults_of(root):
    files = {}
    for file in sources(".hpp", ".cpp", root=root):
        for name in definitions(file.read_text()):
            files.setdefault(name, []).append(str(file.relative_to(root)))
    return [f"expected one definition of {name}, got {' and '.join(where)}" for name, where in files.items() if len(where) > 1]


if sys.argv[1:] == ["--self-test"]:
    in_detail = "namespace limpid::detail {\nstruct A {\n};\n}  // namespace limpid::detail\n"
    must_find([
        ("once", {"core/a.hpp": in_detail}, False),
        ("twice", {"core/a.hpp": in_detail, "nn/b.hpp": in_detail}, True),
        ("twice, nested", {"core/a.hpp": in_detail, "nn/b.hpp": "namespace limpid {\nnamespace detail {\nclass A final : B {\n"}, True),
        ("in another namespace", {"core/a.hpp": in_detail, "nn/b.hpp": in_detail.replace("detail", "nn")}, False),
        ("in an unnamed namespace", {"core/a.hpp": in_detail, "nn/b.cpp":
            "namespace limpid::detail {\nnamespace {\nstruct A {\n};\n}  // namespace\n}  // namespace limpid::detail\n"}, False),
        ("behind one", {"core/a.hpp": in_detail, "nn/b.cpp":
            "namespace limpid::detail {\nnamespace {\n}  // namespace\nstruct A {\n};\n}  // namespace limpid::detail\n"}, True),
        ("declared", {"core/a.hpp": in_detail, "nn/b.hpp": "namespace limpid::detail {\nstruct A;\n"}, False),
    ], faults_of)
report(faults_of(ROOT), "every class is defined once")
