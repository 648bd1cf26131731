"""Every header compiles alone; public headers do so without a warning, and are light.

headers.py COMPILER FLAGS_FILE: FLAGS_FILE holds the library's own compile flags, one per line. An internal header that a
source of ours includes before all others is left to the build, which has compiled it so.
"""
import re
import sys
import tempfile
from pathlib import Path

from check import ROOT, first_lines, in_parallel, is_public, must_find, report, run, sources

# Libraries that no public header may reach, even through another; xtensor.hpp is there to include xtensor.
HEAVY = ("/xtensor/", "/xtl/", "/xsimd/", "/spdlog/", "/fmt/", "/omp.h", "/dnnl", "/cblas.h", "/openblas")
# Standard headers that a user's file would pay for: no public header may reach them either.
SLOW = ("algorithm", "chrono", "deque", "filesystem", "functional", "iostream", "list", "memory", "mutex", "random",
        "ranges", "regex", "set", "sstream", "thread", "unordered_map", "unordered_set")
# There to be included beside what they include.
EXEMPT = ("core/xtensor.hpp", "autograd/testing/catch2.hpp")


def faults_of_header(compiler, flags, root, header):
    kernel = ["-DLIMPID_KERNEL_ISA=baseline"] if "kernels" in header.parts else []
    with tempfile.TemporaryDirectory() as folder:
        reached_file = Path(folder, "reached")
        strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"] if is_public(header) else []
        result = run([compiler, "-std=c++20", *strict, *flags, *kernel, "-fsyntax-only", "-MD", "-MF", reached_file,
                      "-include", root / header, "-x", "c++", "/dev/null"])
        if result.returncode:
            return [f"{header}: does not compile alone:\n{first_lines(result.stdout)}"]
        reached = reached_file.read_text().replace("\\\n", " ").split()
    if not is_public(header) or str(header) in EXEMPT:
        return []
    outside = [path for path in reached if not Path(path).resolve().is_relative_to(root)]
    return [f"{header}: reaches {path}" for path in outside
            if any(heavy in path for heavy in HEAVY) or Path(path).name in SLOW]


def proved_by_build(root):
    """The headers, as <limpid/...> names them, that come first in a source."""
    first = (re.search(r"^\s*#\s*include\s*<limpid/([^>]+)>|^\s*#\s*include", source.read_text(), re.M)
             for source in sources(".cpp", root=root))
    return {include[1] for include in first if include and include[1]}


def faults_of(root, compiler, flags):
    proved = proved_by_build(root)
    headers = [h.relative_to(root) for h in sources(".hpp", root=root)]
    headers = [h for h in headers if is_public(h) or str(h) not in proved]
    found = in_parallel(lambda header: faults_of_header(compiler, flags, root, header), headers)
    return [fault for faults in found for fault in faults]


compiler, flags_file, *mode = sys.argv[1:]
flags = [line for line in Path(flags_file).read_text().splitlines() if line]
if mode == ["--self-test"]:
    must_find([
        ("complete", {"core/a.hpp": "#pragma once\n#include <string>\ninline std::string a;\n"}, False),
        ("leans on another", {"core/a.hpp": "#pragma once\ninline std::string a;\n"}, True),
        ("internal, leans on another", {"core/detail/a.hpp": "#pragma once\ninline std::string a;\n"}, True),
        ("internal, first in a source", {"core/detail/a.hpp": "#pragma once\ninline std::string a;\n",
                                         "core/a.cpp": "#include <limpid/core/detail/a.hpp>\n"}, False),
        ("internal, second in a source", {
            "core/detail/a.hpp": "#pragma once\ninline std::string a;\n",
            "core/a.cpp": "#include <string>\n\n#include <limpid/core/detail/a.hpp>\n"}, True),
        ("public, first in a source", {"core/a.hpp": "#pragma once\ninline std::string a;\n",
                                       "core/a.cpp": "#include <limpid/core/a.hpp>\n"}, True),
        ("public, heavy", {"core/a.hpp": "#pragma once\n#include <spdlog/spdlog.h>\n"}, True),
        ("public, heavy through another", {
            "core/a.hpp": '#pragma once\n#include "detail/b.hpp"\n',
            "core/detail/b.hpp": "#pragma once\n#include <xsimd/xsimd.hpp>\n"}, True),
        ("public, with a warning", {"core/a.hpp": "#pragma once\ninline int f(double x) { return x; }\n"}, True),
        ("internal, with a warning", {"core/detail/a.hpp": "#pragma once\ninline int f(double x) { return x; }\n"}, False),
        ("public, slow", {"nn/a.hpp": "#pragma once\n#include <regex>\n"}, True),
        ("public, slow through another", {
            "nn/a.hpp": '#pragma once\n#include "detail/b.hpp"\n',
            "nn/detail/b.hpp": "#pragma once\n#include <memory>\n"}, True),
        ("internal, slow", {"nn/detail/a.hpp": "#pragma once\n#include <memory>\n"}, False),
        ("internal, heavy", {"core/detail/a.hpp": "#pragma once\n#include <xtensor/xarray.hpp>\n"}, False),
        ("interop", {"core/xtensor.hpp": "#pragma once\n#include <xtensor/xarray.hpp>\n"}, False),
    ], lambda root: faults_of(root, compiler, flags))
count = len(sources(".hpp"))
report(faults_of(ROOT, compiler, flags), f"{count} headers compile alone; the public ones are light")
