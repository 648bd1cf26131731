"""Names of test cases survive the way into ctest, whose lists split at semicolons and join at brackets: a name with one
of these would swallow its neighbours. names.py [--self-test]"""
import re
import sys

from check import ROOT, must_find, report, sources

NAME = re.compile(r'TEST_CASE\(\s*"((?:[^"\\]|\\.)*)"')


def faults_of(root):
    faults = []
    for file in sources(".cpp", root=root, folders=["tests"]):
        for name in NAME.findall(file.read_text()):
            if set(name) & set("[];"):
                faults.append(f"{file.relative_to(root)}: expected a name without [ ] and ;, got \"{name}\"")
    return faults


if sys.argv[1:] == ["--self-test"]:
    must_find([
        ("plain", {"tests/a.cpp": 'TEST_CASE("a, b (c)", "[tag]") {}\n'}, False),
        ("semicolon", {"tests/a.cpp": 'TEST_CASE("a; b") {}\n'}, True),
        ("bracket", {"tests/core/a.cpp": 'TEST_CASE("in [0, 1)") {}\n'}, True),
    ], faults_of)
report(faults_of(ROOT), "every name is fit for ctest")
