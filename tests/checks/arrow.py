"""Includes run one way: core <- autograd <- ops <- nn <- examples, spelled <limpid/folder/file.hpp>."""
import re
import sys

from check import FOLDERS, ROOT, must_find, report, sources

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def faults_of(root):
    faults = []
    for file in sources(".hpp", ".cpp", root=root):
        path = file.relative_to(root)
        if len(path.parts) == 1:
            continue  # the umbrella header may include everything
        for quote, include in INCLUDE.findall(file.read_text()):
            where = f"{path}: includes {quote}{include}{'>' if quote == '<' else quote}"
            # Beside examples, our own headers have one spelling; others are found in <>.
            if quote == '"' and path.parts[0] != "examples":
                faults.append(f"{where}: expected the spelling <limpid/folder/file.hpp>")
            if not include.startswith("limpid/"):
                continue
            target = include.split("/")[1]
            if target not in FOLDERS:
                if target != "limpid.hpp" or path.parts[0] != "examples":
                    faults.append(f"{where}: the library includes none but its own folders")
            elif FOLDERS.index(target) > FOLDERS.index(path.parts[0]):
                faults.append(f"{where}: against the arrow {' <- '.join(FOLDERS)}")
            elif path.parts[0] == "examples" and "detail" in include.split("/"):
                faults.append(f"{where}: examples show the public interface alone")
    return faults


if sys.argv[1:] == ["--self-test"]:
    must_find([
        ("with the arrow", {"ops/norm.cpp": "#include <limpid/core/tensor.hpp>\n"}, False),
        ("within a folder", {"ops/norm.cpp": "#include <limpid/ops/detail/plan.hpp>\n"}, False),
        ("core includes autograd", {"core/tensor.cpp": "#include <limpid/autograd/node.hpp>\n"}, True),
        ("autograd includes ops", {"autograd/engine.hpp": "#  include <limpid/ops/math.hpp>\n"}, True),
        ("ops includes nn", {"ops/detail/plan.hpp": "#include <limpid/nn/module.hpp>\n"}, True),
        ("nn includes examples", {"nn/module.cpp": "#include <limpid/examples/digits/net.hpp>\n"}, True),
        ("a folder includes the umbrella", {"nn/module.cpp": "#include <limpid/limpid.hpp>\n"}, True),
        ("the library includes a test", {"core/tensor.cpp": "#include <limpid/tests/catch.hpp>\n"}, True),
        ("a header by another spelling", {"ops/norm.cpp": '#include "../core/tensor.hpp"\n'}, True),
        ("an example uses an internal header", {"examples/a.cpp": "#include <limpid/ops/detail/plan.hpp>\n"}, True),
    ], faults_of)

files = sources(".hpp", ".cpp")
report(faults_of(ROOT), f"{len(files)} files include along the arrow")
