"""limpid as its users get it: installed, moved, and built into programs by each documented way.

package.py COMPILER WORK_DIR install BUILD_DIR    installs BUILD_DIR; what is installed is what should be
package.py COMPILER WORK_DIR pkg-config           programs by one g++ line
package.py COMPILER WORK_DIR find_package         programs by a CMake project
package.py COMPILER WORK_DIR subdirectory LINKS   programs by a project that adds limpid's sources, and finds them by
                                                  BUILD_DIR's LINKS; static
package.py COMPILER WORK_DIR static               programs against what that project installed, both ways
package.py COMPILER WORK_DIR debug-mode           configured with _GLIBCXX_DEBUG, a package says so
package.py COMPILER WORK_DIR self-test            programs that must not pass do not

Programs are tests/programs/*.cpp, and *.cpp of the folder that LIMPID_PROGRAMS names; each must end with 0. All are built by
pkg-config's line. What the other ways may get wrong is the same for all programs, headers and libraries that are not found:
they build a few of ours, which between them need all there is, and all of LIMPID_PROGRAMS.
"""
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path

from check import ROOT, first_lines, is_public, matching, report, run, sources

FEW = "[in]*"  # interop, which needs xtensor; normalise
SIZE_LIMIT = 10_000_000  # bytes of the stripped shared library


def programs(ours="*"):
    found = matching(ROOT, f"tests/programs/{ours}.cpp")
    if os.environ.get("LIMPID_PROGRAMS"):
        found += matching(Path(os.environ["LIMPID_PROGRAMS"]), "*.cpp")
    return found


def expect(faults, what, result):
    """Notes a command that failed; says whether it passed."""
    if result.returncode:
        faults.append(f"{what} ends with {result.returncode}:\n{first_lines(result.stdout, 40)}")
    return result.returncode == 0


def run_program(faults, name, program):
    with tempfile.TemporaryDirectory() as folder:
        expect(faults, f"{name}: run", run([program], cwd=folder, timeout=300))


def installed(header):
    """Where a public header (relative to the root) is found below include/limpid."""
    testing = Path("autograd/testing")
    return header.relative_to("autograd") if testing in header.parents else header


def install(build, prefix, shared):
    """Installs elsewhere and moves the tree to prefix: an installed package can be moved."""
    faults = []
    first = prefix.with_name(prefix.name + ".first")
    for path in (first, prefix):
        shutil.rmtree(path, ignore_errors=True)
    if not expect(faults, "install", run(["cmake", "--install", build, "--prefix", first])):
        return faults
    first.rename(prefix)
    include = prefix / "include/limpid"
    got = {p.relative_to(include) for p in include.rglob("*") if p.is_file()}
    want = {installed(h) for h in (p.relative_to(ROOT) for p in sources(".hpp")) if is_public(h)}
    faults += [f"expected {path} to be installed" for path in sorted(want - got)]
    faults += [f"expected {path} not to be installed" for path in sorted(got - want)]
    matching(prefix, f"lib*/**/liblimpid.{'so' if shared else 'a'}")
    for library in prefix.glob("lib*/**/liblimpid.so"):
        stripped = prefix.with_name("stripped.so")
        run(["strip", "-o", stripped, library])
        size = stripped.stat().st_size
        if size > SIZE_LIMIT:
            faults.append(f"expected a stripped library of at most {SIZE_LIMIT} bytes, got {size}")
    return faults


def by_pkg_config(compiler, prefix, files, work, flags="-O2"):
    faults = []
    folders = ":".join(str(p) for p in prefix.glob("lib*/**/pkgconfig"))
    work.mkdir(parents=True, exist_ok=True)
    for file in files:
        line = f'"{compiler}" -std=c++20 {flags} "{file}" $(pkg-config --cflags --libs limpid) -o "{work / file.stem}"'
        built = run(["sh", "-c", line], env={**os.environ, "PKG_CONFIG_PATH": folders})
        if expect(faults, f"{file.name}: {line}", built):
            run_program(faults, file.name, work / file.stem)
    return faults


def by_cmake(compiler, files, work, *arguments):
    faults = []
    shutil.rmtree(work, ignore_errors=True)
    configured = run(["cmake", "-G", "Ninja", "-S", ROOT / "tests/checks/consumer", "-B", work,
                      f"-DCMAKE_CXX_COMPILER={compiler}", "-DCMAKE_BUILD_TYPE=Release",
                      f"-DPROGRAMS={';'.join(str(f) for f in files)}", *arguments])
    if expect(faults, "configure", configured) and expect(
            faults, "build", run(["cmake", "--build", work, "--parallel", len(os.sched_getaffinity(0))])):
        for file in files:
            run_program(faults, file.name, work / file.stem)
    return faults


def launcher(built, path):
    """A compiler launcher for a second tree: the compiler cache knows a source by its path, and the units of LIMPID_UNITY
    are made in each tree. Where the tree that is built has one of the same text, that is compiled."""
    units = "CMakeFiles/limpid_objects.dir/Unity"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"""#!/bin/sh
for argument; do
  shift
  case $argument in
    */{units}/*.cxx)
      twin='{built}/{units}'/${{argument##*/}}
      if cmp -s "$argument" "$twin"; then argument=$twin; fi ;;
  esac
  set -- "$@" "$argument"
done
exec {shutil.which("ccache") or ""} "$@"
""")
    path.chmod(0o755)
    return path


def debug_mode(compiler, work):
    """A library of the standard library's debug mode passes that on to its users. It is configured, not built."""
    faults = []
    shutil.rmtree(work, ignore_errors=True)
    options = ["-DLIMPID_BUILD_TESTS=OFF", "-DLIMPID_BUILD_EXAMPLES=OFF", "-DLIMPID_INSTALL=ON"]
    for name, flag in {"debug": "-D_GLIBCXX_DEBUG", "release": "-D_GLIBCXX_ASSERTIONS"}.items():
        build = work / name
        if not expect(faults, "configure", run(["cmake", "-G", "Ninja", "-S", ROOT, "-B", build, *options,
                                                f"-DCMAKE_CXX_COMPILER={compiler}", f"-DCMAKE_CXX_FLAGS={flag}"])):
            continue
        told = {"limpid.pc": (build / "limpid.pc").read_text()}
        told.update((file.name, file.read_text()) for file in build.rglob("limpid-targets.cmake"))
        if len(told) != 2:
            faults.append(f"expected limpid.pc and limpid-targets.cmake in {build}, got {sorted(told)}")
        wanted = {"_GLIBCXX_DEBUG", "LIMPID_GLIBCXX_DEBUG"} if name == "debug" else set()
        for file, text in told.items():
            got = set(re.findall(r'(?:-D|[";])(\w*_GLIBCXX_DEBUG)\b', text))
            if got != wanted:
                faults.append(f"{file} of {flag}: expected the definitions {wanted or 'none'}, got {got or 'none'}")
    return faults


def self_test(compiler, prefix, work):
    planted = {
        "passes": ("int main() { return 0; }", False),
        "fails": ("int main() { return 1; }", True),
        "does_not_compile": ("int main() { return nothing; }", True),
        "reaches_inside": ("#include <limpid/core/detail/isa.hpp>\nint main() {}", True),
    }
    wrong = []
    work.mkdir(parents=True, exist_ok=True)
    for name, (text, faulty) in planted.items():
        file = work / f"{name}.cpp"
        file.write_text(text + "\n")
        ways = {"pkg-config": by_pkg_config(compiler, prefix, [file], work / "one"),
                "find_package": by_cmake(compiler, [file], work / "two", f"-DCMAKE_PREFIX_PATH={prefix}")}
        for way, faults in ways.items():
            if bool(faults) != faulty:
                wrong.append(f"{name} by {way}: expected {'a fault' if faulty else 'no fault'}, got {faults}")
    return wrong


compiler, work, mode, *build = sys.argv[1:]
work = Path(work)
shared, static = work / "installed", work / "installed-static"
if mode == "install":
    report(install(Path(*build), shared, True), "installed")
if mode == "self-test":
    report(self_test(compiler, shared, work / "self-test"), "programs told apart")
if mode == "pkg-config":
    # Not optimised, which takes half the time: what is looked for is what the line lacks.
    report(by_pkg_config(compiler, shared, programs(), work / mode, "-O0"), "programs pass")
if mode == "find_package":
    report(by_cmake(compiler, programs(FEW), work / mode, f"-DCMAKE_PREFIX_PATH={shared}"), "programs pass")
if mode == "subdirectory":
    files = programs(FEW)
    # The whole library once more, by the flags and paths of the release preset: the compiler cache has each object.
    report(by_cmake(compiler, files, work / mode, f"-DLIMPID_SOURCE={ROOT}", "-DLIMPID_INSTALL=ON",
                    "-DLIMPID_WERROR=ON", f"-DLIMPID_INCLUDE_DIR={build[0]}",
                    f"-DCMAKE_CXX_COMPILER_LAUNCHER={launcher(Path(build[0]).parent, work / 'launcher')}"),
           "programs pass")
if mode == "static":
    files = programs(FEW)
    report(install(work / "subdirectory", static, False) + by_pkg_config(compiler, static, files, work / "static") +
           by_pkg_config(compiler, static, files[:1], work / "static-lto", "-O1 -flto") +
           by_cmake(compiler, files, work / "static-cmake", f"-DCMAKE_PREFIX_PATH={static}"), "programs pass")
if mode == "debug-mode":
    report(debug_mode(compiler, work / mode), "a package built with _GLIBCXX_DEBUG says so")
