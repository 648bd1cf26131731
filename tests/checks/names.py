"""Names of test cases survive the way into ctest, whose lists split at semicolons and join at brackets: a name with one
of these would swallow its neighbours. And tests take string matchers from tests/catch.hpp, for Catch2 2 and 3 do not
agree on where they are, or on what Contains is. names.py [--self-test]"""
import re
import sys

from check import ROOT, must_find, report, sources

MATCHER = re.compile(r"\bCatch::(?:Matchers::)?(?:Contains|ContainsSubstring|StartsWith|EndsWith)\b")
NAME = re.compile(r'TEST_CASE\(\s*"((?:[^"\\]|\\.)*)"')


def faults_of(root):
    faults = []
    for file in sources(".cpp", root=root, folders=["tests"]):
        for name in NAME.findall(file.read_text()):
            if set(name) & set("[];"):
                faults.append(f"{file.relative_to(root)}: expected a name without [ ] and ;, got \"{name}\"")
    for file in sources(".cpp", ".hpp", root=root, folders=["tests"]):
        path = str(file.relative_to(root))
        for matcher in MATCHER.findall(file.read_text()):
            if path != "tests/catch.hpp" and not path.startswith("tests/programs/"):
                faults.append(f"{path}: expected ContainsSubstring, StartsWith or EndsWith of tests/catch.hpp, got {matcher}")
    return faults


if sys.argv[1:] == ["--self-test"]:
    must_find([
        ("plain", {"tests/a.cpp": 'TEST_CASE("a, b (c)", "[tag]") {}\n'}, False),
        ("semicolon", {"tests/a.cpp": 'TEST_CASE("a; b") {}\n'}, True),
        ("bracket", {"tests/core/a.cpp": 'TEST_CASE("in [0, 1)") {}\n'}, True),
        ("a matcher of Catch2 2", {"tests/a.cpp": 'CHECK_THAT(s, Catch::Contains("a"));\n'}, True),
        ("one of its longer names", {"tests/a.hpp": 'using Catch::Matchers::Contains;\n'}, True),
        ("a matcher of ours", {"tests/a.cpp": 'CHECK_THAT(s, ContainsSubstring("a"));\n'}, False),
    ], faults_of)
report(faults_of(ROOT), "every name is fit for ctest, every matcher for Catch2 2 and 3")
