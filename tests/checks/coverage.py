"""The tables of docs/coverage.md that say where something is are true, and no layer is missing in them: every name stands
in the header of its row, and every class in nn/layers that is made by hand has a row.
coverage.py [--self-test]"""
import re
import sys

from check import ROOT, matching, must_find, report

PAGE = "docs/coverage.md"
ROW = re.compile(r"^\|.*\[([\w/]+\.hpp)\]\(\.\./\1\).*$", re.M)
NAME = re.compile(r"`([^`]+)`")
# What is a class or a template is a base of others.
CLASS = re.compile(r"(?<!>\n)^struct (\w+) : (\w+) \{", re.M)


def faults_of(root):
    page = root / PAGE
    if not page.exists():
        return [f"{PAGE}: expected a page, got none"]
    text, faults, listed = page.read_text(), [], set()
    rows = list(ROW.finditer(text))
    if not rows:
        return [f"{PAGE}: expected rows with headers, got none"]
    for row in rows:
        header = root / row[1]
        if not header.exists():
            faults.append(f"{PAGE}: expected a header {row[1]}, got none")
            continue
        code = re.sub(r"//.*", "", header.read_text())
        for name in NAME.findall(row[0]):
            if name.startswith("nn::"):
                listed.add(name[4:])
            elif row[1].startswith("nn/layers/"):
                continue  # a file or a function in the columns beside
            word = name.split("::")[-1].replace("\\", "")
            if not re.search(r"(?<!\w)" + re.escape(word) + (r"(?!\w)" if word[-1].isalnum() else ""), code):
                faults.append(f"{PAGE}: expected {name} in {row[1]}, got none")
    list_of = matching if root == ROOT else lambda folder, pattern: sorted(folder.glob(pattern))
    for header in list_of(root, "nn/layers/*.hpp"):
        for layer in CLASS.finditer(header.read_text()):
            if layer[1] not in listed:
                faults.append(f"{header.relative_to(root)}: expected a row of nn::{layer[1]} in {PAGE}, got none")
    return faults


if sys.argv[1:] == ["--self-test"]:
    def tree(page, header="struct A : Module {\n};\n// B\n", ops="Tensor f(const Tensor& x);\n"):
        return {PAGE: page, "nn/layers/a.hpp": header, "ops/b.hpp": ops}
    row = "| `nn::A` | [nn/layers/a.hpp](../nn/layers/a.hpp) | `f` |\n"
    must_find([
        ("a layer", tree(row), False),
        ("a layer without a row", tree(row, "struct A : Module {\n};\nstruct C : A {\n};\n"), True),
        ("options, which are no layer", tree(row, "struct A : Module {\n};\nstruct AOptions {\n};\n"), False),
        ("a layer that is gone", tree(row.replace("A`", "A`, `nn::B`")), True),
        ("a function", tree(row + "| [ops/b.hpp](../ops/b.hpp) | `f` |\n"), False),
        ("a function that is gone", tree(row + "| [ops/b.hpp](../ops/b.hpp) | `f`, `g` |\n"), True),
        ("a part of a name", tree(row + "| [ops/b.hpp](../ops/b.hpp) | `Tens` |\n"), True),
        ("an operator", tree(row + "| [ops/b.hpp](../ops/b.hpp) | `operator\\|\\|` |\n", ops="Tensor operator||(A, B);\n"), False),
        ("a header that is gone", tree(row + "| [ops/c.hpp](../ops/c.hpp) | `f` |\n"), True),
        ("no rows", tree("nothing\n"), True),
    ], faults_of)
report(faults_of(ROOT), "the coverage page says where everything is")
