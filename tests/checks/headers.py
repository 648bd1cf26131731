"""Every header compiles alone; public headers do so without a warning, and are light.

headers.py COMPILER FLAGS_FILE: FLAGS_FILE holds the library's own compile flags, one per line. That a header compiles
alone is left to the build where a source of ours includes it before all others, as each source is to include its own:
presets that compile sources one by one have compiled it so. The public ones among those are looked at all at once; one
by one only where that finds a fault.
"""
import itertools
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


def faults_of_headers(compiler, flags, root, headers):
    """Of these headers, included in this order; they are all public, or one."""
    if not headers:
        return []
    named = " ".join(map(str, headers[:3])) + (f" and {len(headers) - 3} more" if len(headers) > 3 else "")
    kernel = ["-DLIMPID_KERNEL_ISA=baseline"] if "kernels" in headers[0].parts else []
    includes = list(itertools.chain(*(["-include", root / header] for header in headers)))
    with tempfile.TemporaryDirectory() as folder:
        reached_file = Path(folder, "reached")
        public = is_public(headers[0])
        strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Werror"] if public else []
        result = run([compiler, "-std=c++20", *strict, *flags, *kernel, "-fsyntax-only", "-MD", "-MF", reached_file,
                      *includes, "-x", "c++", "/dev/null"])
        if result.returncode:
            return [f"{named}: does not compile {'alone' if len(headers) == 1 else 'together'}:\n{first_lines(result.stdout)}"]
        reached = reached_file.read_text().replace("\\\n", " ").split()
    if not public or str(headers[0]) in EXEMPT:
        return []
    outside = [path for path in reached if not Path(path).resolve().is_relative_to(root)]
    return [f"{named}: reaches {path}" for path in outside
            if any(heavy in path for heavy in HEAVY) or Path(path).name in SLOW]


def included_by(source):
    """What it includes, in order: the headers of ours as <limpid/...> names them, for others None."""
    return [own or None for own in re.findall(r"^\s*#\s*include\s*(?:<limpid/([^>]+)>)?", source.read_text(), re.M)]


def proved_by_build(root):
    """The headers that come first in a source of the library."""
    library = (source for source in sources(".cpp", root=root) if source.relative_to(root).parts[0] != "examples")
    return {included[0] for included in map(included_by, library) if included} - {None}


def misplaced(root):
    """Sources that include their own header, of the same name in their folder or in its detail/, behind others."""
    faults = []
    for source in sources(".cpp", root=root):
        places = source.with_suffix(".hpp"), source.parent / "detail" / f"{source.stem}.hpp"
        own = next((str(header.relative_to(root)) for header in places if header.exists()), None)
        if own and own in included_by(source)[1:]:
            faults.append(f"{source.relative_to(root)}: expected <limpid/{own}> to come first")
    return faults


def faults_of(root, compiler, flags):
    headers = [h.relative_to(root) for h in sources(".hpp", root=root)]
    proved = proved_by_build(root)
    alone = [h for h in headers if str(h) not in proved or str(h) in EXEMPT]
    together = [h for h in headers if str(h) in proved and is_public(h) and str(h) not in EXEMPT]
    faults = faults_of_headers(compiler, flags, root, together)
    if faults:
        alone += together
    found = in_parallel(lambda header: faults_of_headers(compiler, flags, root, [header]), alone)
    found = list(itertools.chain(*found))
    return misplaced(root) + (found or faults)


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
        ("public, slow, first in a source", {"core/a.hpp": "#pragma once\n#include <regex>\n", "core/b.hpp": "#pragma once\n",
                                             "core/a.cpp": "#include <limpid/core/a.hpp>\n",
                                             "core/b.cpp": "#include <limpid/core/b.hpp>\n"}, True),
        ("its own header behind another", {"core/a.hpp": "#pragma once\n", "core/b.hpp": "#pragma once\n",
                                           "core/a.cpp": "#include <limpid/core/b.hpp>\n#include <limpid/core/a.hpp>\n"},
         True),
        ("its own internal header behind another", {
            "core/detail/a.hpp": "#pragma once\n", "core/b.hpp": "#pragma once\n",
            "core/a.cpp": "#include <limpid/core/b.hpp>\n#include <limpid/core/detail/a.hpp>\n"}, True),
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
