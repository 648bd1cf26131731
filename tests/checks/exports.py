"""What is exported is declared in public headers, and all that public headers declare is exported.

exports.py [--mend]: each block `namespace limpid` of a public header is `namespace LIMPID_API limpid`, with
core/export.hpp included; but for a block that declares by name classes that stay inside the library, and nothing else.
No other file says LIMPID_API. --mend writes that into the public headers.
"""
import re
import sys

from check import FOLDERS, ROOT, is_public, must_find, report, sources

EXPORT_HEADER = "core/export.hpp"
PLAIN = re.compile(r"^namespace limpid((?:::\w+)*) \{", re.M)
# Names of classes alone, in inner namespaces perhaps.
CLASSES = re.compile(r"(?:\s|//[^\n]*|namespace \w+ \{|(?:template <[^<>]*>\s*)?(?:class|struct) \w+;|\}(?!  // namespace limpid))*"
                     r"\}  // namespace limpid\b")


def plain_blocks(text):
    """The openings of blocks that declare more than names of classes, and are not exported."""
    return [block for block in PLAIN.finditer(text) if not CLASSES.match(text, block.end())]


def faults_of(root):
    faults = []
    for file in sources(".hpp", ".cpp", root=root, folders=FOLDERS + ["tests", "bench"]):
        path = file.relative_to(root)
        text = file.read_text()
        if str(path) == EXPORT_HEADER:
            continue
        if not is_public(path):
            if "LIMPID_API" in text:
                faults.append(f"{path}: LIMPID_API is for public headers; what stands here is not exported")
            continue
        for block in plain_blocks(text):
            line = text.count("\n", 0, block.start()) + 1
            faults.append(f"{path}:{line}: what a public header declares must be exported: expected "
                          f"'{mended_opening(block)}', got '{block[0]}' (tests/checks/exports.py --mend writes it)")
        if "LIMPID_API" in text and f"#include <limpid/{EXPORT_HEADER}>" not in text:
            faults.append(f"{path}: LIMPID_API without #include <limpid/{EXPORT_HEADER}>")
    return faults


def mended_opening(block):
    inner = "".join(f" namespace {name} {{" for name in block[1].split("::")[1:])
    return f"namespace LIMPID_API limpid {{{inner}"


def mended(text):
    """The text of a public header with all its blocks exported. An attribute stands on one name, not on a::b."""
    for block in reversed(plain_blocks(text)):
        rest = text[block.end():]
        names = block[1].split("::")[1:]
        closing = "".join(f"}}  // namespace {name}\n" for name in reversed(names)) + "}  // namespace limpid"
        rest = rest.replace(f"}}  // namespace limpid{block[1]}", closing, 1)
        text = text[:block.start()] + mended_opening(block).replace("{ ", "{\n") + rest
    line = f"#include <limpid/{EXPORT_HEADER}>\n"
    if "LIMPID_API" not in text or line in text:
        return text
    includes = list(re.finditer(r"^#include <limpid/[^>]+>\n", text, re.M))
    if includes:
        after = [match.end() for match in includes if match[0] < line]
        place = after[-1] if after else includes[0].start()
    else:  # before the standard headers, in a group of its own
        place = re.search(r"^#pragma once\n", text, re.M).end()
        line += "\n"
    return text[:place] + line + text[place:]


if sys.argv[1:] == ["--self-test"]:
    include = "#pragma once\n#include <limpid/core/export.hpp>\n"
    must_find([
        ("exported", {"core/a.hpp": include + "namespace LIMPID_API limpid {\nvoid f();\n}\n"}, False),
        ("not exported", {"core/a.hpp": include + "namespace limpid {\nvoid f();\n}\n"}, True),
        ("the second block not exported", {
            "core/a.hpp": include + "namespace LIMPID_API limpid {\n}\nnamespace limpid {\n}\n"}, True),
        ("an inner namespace not exported", {"nn/layers/a.hpp": "namespace limpid::nn {\nvoid f();\n}\n"}, True),
        ("exported by luck", {"core/a.hpp": "namespace LIMPID_API limpid {\nvoid f();\n}\n"}, True),
        ("names of classes that stay inside", {"core/a.hpp": include + "namespace limpid {\n// Inside.\nclass A;\n"
                                               "namespace detail {\ntemplate <class T, int n>\nstruct B;\n}  // namespace "
                                               "detail\n}  // namespace limpid\n"}, False),
        ("a class beside names", {"core/a.hpp": include + "namespace limpid {\nclass A;\nclass B {\n};\n}  // namespace "
                                  "limpid\n"}, True),
        ("a function beside names", {"core/a.hpp": include + "namespace limpid {\nclass A;\nint f();\n}  // namespace "
                                     "limpid\n"}, True),
        ("internal", {"core/detail/a.hpp": "namespace limpid {\nvoid f();\n}\n"}, False),
        ("internal, exported", {"core/detail/a.hpp": include + "namespace LIMPID_API limpid {\n}\n"}, True),
        ("a source, exported", {"core/a.cpp": include + "namespace LIMPID_API limpid {\n}\n"}, True),
        ("mended", {"nn/a.hpp": mended("// A\n#pragma once\n#include <vector>\n\nnamespace limpid {\nclass A;\n}  // namespace "
                                       "limpid\n\nnamespace limpid::nn {\n\nint f();\n\n}  // namespace limpid::nn\n")}, False),
    ], faults_of)

headers = [header for header in sources(".hpp") if is_public(header.relative_to(ROOT))]
if sys.argv[1:] == ["--mend"]:
    for header in headers:
        before = header.read_text()
        after = before if str(header.relative_to(ROOT)) == EXPORT_HEADER else mended(before)
        if after != before:
            header.write_text(after)
            print("mended", header.relative_to(ROOT))
report(faults_of(ROOT), f"{len(headers)} public headers export what they declare")
