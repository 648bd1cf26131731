"""Sources are formatted as .clang-format says. format.py CLANG_FORMAT; where it is not installed, this is skipped."""
import shutil
import sys

from check import FOLDERS, ROOT, first_lines, must_find, report, run, skip, sources


def faults_of(root, clang_format):
    files = sources(".hpp", ".cpp", root=root, folders=FOLDERS + ["tests", "bench"])
    result = run([clang_format, f"--style=file:{ROOT / '.clang-format'}", "--dry-run", "-Werror", *files])
    return [first_lines(result.stdout, 60)] if result.returncode else []


clang_format, *mode = sys.argv[1:]
if not shutil.which(clang_format):
    skip(f"{clang_format} is not installed")
if mode == ["--self-test"]:
    must_find([
        ("formatted", {"core/a.cpp": "int main() { return 0; }\n"}, False),
        ("not formatted", {"core/a.cpp": "int main() {\n      return 0;}\n"}, True),
    ], lambda root: faults_of(root, clang_format))
report(faults_of(ROOT, clang_format), "formatted")
