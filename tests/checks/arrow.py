"""Includes run one way, spelled <limpid/folder/file.hpp>: core <- autograd <- ops <- nn <- examples, and within ops/
from room to room as FAMILIES says. A function is declared in a header: never inside another function."""
import re
import sys

from check import FOLDERS, ROOT, must_find, report, sources

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)
# A declaration that borrows a function from elsewhere behind the back of this check: indented, so within a block.
BLOCK_EXTERN = re.compile(r'^[ \t]+extern\b(?!\s*("C"|template)).*$', re.M)
# The rooms of ops/, each with those it may include. ops/detail/ is beneath all of them.
EARLY = ["elementwise", "shaping", "reduce"]
MIDDLE = ["product", "norm", "loss"]
LATE = ["window", "attention", "recurrent", "linalg"]
FAMILIES = {name: EARLY[:i] for i, name in enumerate(EARLY)} | {name: EARLY for name in MIDDLE} | {
    name: EARLY + MIDDLE for name in LATE}


def family_of(parts):
    """The room of a path below ops/: that of its folder, or that a public header is named after. None: for all."""
    if len(parts) < 2 or parts[0] != "ops":
        return None
    name = parts[1].removesuffix(".hpp")
    return None if name in ("detail", "CMakeLists.txt") else name


def faults_of_include(path, quote, include):
    # Beside examples, our own headers have one spelling; others are found in <>.
    if quote == '"' and path.parts[0] != "examples":
        return "expected the spelling <limpid/folder/file.hpp>"
    if not include.startswith("limpid/"):
        return None
    target = include.split("/")[1:]
    if target[0] not in FOLDERS:
        if target[0] != "limpid.hpp" or path.parts[0] != "examples":
            return "the library includes none but its own folders"
    elif FOLDERS.index(target[0]) > FOLDERS.index(path.parts[0]):
        return f"against the arrow {' <- '.join(FOLDERS)}"
    elif path.parts[0] == "examples" and {"detail", "kernels"} & set(target):
        return "examples show the public interface alone"
    elif path.parts[0] == target[0] == "ops":
        here, there = family_of(path.parts), family_of(target)
        if here is None and there is not None:
            return "what all rooms of ops/ share knows none of them"
        if here != there and there is not None and there not in FAMILIES[here]:
            return f"room {here} may include {', '.join(FAMILIES[here]) or 'no other'}"
    return None


def faults_of(root):
    faults = []
    for file in sources(".hpp", ".cpp", root=root):
        path = file.relative_to(root)
        if len(path.parts) == 1:
            continue  # the umbrella header may include everything
        text = file.read_text()
        family = family_of(path.parts)
        if family is not None and family not in FAMILIES:
            faults.append(f"{path}: expected a room of {', '.join(FAMILIES)}")
            continue
        for quote, include in INCLUDE.findall(text):
            fault = faults_of_include(path, quote, include)
            if fault:
                faults.append(f"{path}: includes {quote}{include}{'>' if quote == '<' else quote}: {fault}")
        if "kernels" not in path.parts:  # whose tables of other instruction sets stand in one line of a namespace
            faults += [f"{path}: expected a header's declaration, got '{line.group().strip()}'"
                       for line in BLOCK_EXTERN.finditer(text)]
    return faults


def cases():
    def one(name, path, include, faulty):
        return name, {path: f"#include <limpid/{include}>\n"}, faulty

    found = [
        one("with the arrow", "ops/norm/norm.cpp", "core/tensor.hpp", False),
        one("within a room", "ops/norm/norm.cpp", "ops/norm/detail/plan.hpp", False),
        one("what all rooms share", "ops/norm/norm.cpp", "ops/detail/check.hpp", False),
        one("core includes autograd", "core/tensor.cpp", "autograd/node.hpp", True),
        ("autograd includes ops", {"autograd/backward.hpp": "#  include <limpid/ops/norm.hpp>\n"}, True),
        one("ops includes nn", "ops/norm/detail/plan.hpp", "nn/module.hpp", True),
        one("nn includes examples", "nn/module.cpp", "examples/digits/net.hpp", True),
        one("a folder includes the umbrella", "nn/module.cpp", "limpid.hpp", True),
        one("the library includes a test", "core/tensor.cpp", "tests/catch.hpp", True),
        ("a header by another spelling", {"ops/norm/norm.cpp": '#include "../core/tensor.hpp"\n'}, True),
        one("an example uses an internal header", "examples/a.cpp", "ops/norm/detail/plan.hpp", True),
        one("what all rooms share includes a room", "ops/detail/check.hpp", "ops/shaping.hpp", True),
        one("a room that is none", "ops/misc/a.cpp", "core/tensor.hpp", True),
        one("a public header that names no room", "ops/matmul.hpp", "core/tensor.hpp", True),
        ("a block's extern", {"core/a.cpp": "void f() {\n  extern void g();\n  g();\n}\n"}, True),
        ("a namespace's extern", {"core/a.hpp": "extern const int a;\n"}, False),
    ]
    # Each arrow between rooms, both ways: from a source, an internal header and a public one.
    for here, before in FAMILIES.items():
        for there in FAMILIES:
            if here != there:
                for path in (f"ops/{here}/a.cpp", f"ops/{here}/detail/a.hpp", f"ops/{here}.hpp"):
                    for include in (f"ops/{there}.hpp", f"ops/{there}/detail/a.hpp"):
                        found.append(one(f"{path} includes {include}", path, include, there not in before))
    return found


if sys.argv[1:] == ["--self-test"]:
    must_find(cases(), faults_of)

files = sources(".hpp", ".cpp")
report(faults_of(ROOT), f"{len(files)} files include along the arrow")
