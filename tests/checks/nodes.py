"""A node is its op's own: a struct derived from a Node in a source stands in an unnamed namespace, so that no two files
can name one alike and mean another. nodes.py [--self-test]"""
import re
import sys

from check import ROOT, must_find, report, sources

# What opens or closes a scope, or is none: comments and strings hold braces of their own.
SCOPE = re.compile(r"""//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'
    |(?P<unnamed>namespace\s*\{)
    |struct\s+(?P<node>\w+)\s*(?:final\s*)?:\s*(?:public\s+)?[\w:]*Node\s*\{
    |[{}]""", re.X | re.S)


def faults_of(root):
    faults = []
    for file in sources(".cpp", root=root):
        unnamed = []  # of each open scope, whether it is an unnamed namespace
        for match in SCOPE.finditer(file.read_text()):
            if match["node"] and not any(unnamed):
                faults.append(f"{file.relative_to(root)}: expected {match['node']} in an unnamed namespace")
            if match[0] == "}":
                unnamed = unnamed[:-1]
            elif match[0].endswith("{"):
                unnamed.append(bool(match["unnamed"]))
    return faults


if sys.argv[1:] == ["--self-test"]:
    node = "struct ANode final : Node { int f() { return '{'; } };\n"
    must_find([
        ("in an unnamed namespace", {"ops/norm/a.cpp": f"namespace limpid {{ namespace {{\n{node}}} }}\n"}, False),
        ("beside one", {"ops/norm/a.cpp": f"namespace limpid {{ namespace {{ int a; }}\n{node}}}\n"}, True),
        ("in a named one", {"autograd/a.cpp": f"namespace limpid {{\n{node}}}\n"}, True),
        ("of another base", {"ops/norm/a.cpp": "struct BNode : detail::ReductionNode { };\n"}, True),
        ("after a brace in a comment", {"nn/a.cpp": f"namespace {{  // }}\n{node}}}\n"}, False),
        ("what is no node", {"nn/a.cpp": "struct Nodes : Base { };\n"}, False),
    ], faults_of)
report(faults_of(ROOT), "every node is its file's own")
