"""Patterns that list files match some: the planted faults', the tests', the checks'. globs.py CMAKE [--self-test]

What lists the files fails by itself where there are none; here it is seen to do so.
"""
import subprocess
import sys
import tempfile
from pathlib import Path

from check import FOLDERS, ROOT, matching, report, run

sys.path.insert(0, str(ROOT / "scripts"))
from mutations import RULES  # noqa: E402


def refuses(call):
    try:
        call()
    except SystemExit as end:
        return "expected files that match" in str(end.code)
    return False


def cmake_refuses(cmake, pattern):
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "script.cmake")
        script.write_text(f"include({ROOT}/cmake/glob.cmake)\nlimpid_glob(found {pattern})\n")
        result = run([cmake, "-P", script])
    return result.returncode != 0 and "expected files that match" in " ".join(result.stdout.split())


def mutate_refuses(pattern):
    program = ("import sys; sys.path.insert(0, 'scripts'); import mutate; "
               f"mutate.RULES[:] = [({pattern!r}, 'backward')]; mutate.planted()")
    result = subprocess.run([sys.executable, "-B", "-c", program], cwd=ROOT, capture_output=True, text=True)
    return result.returncode != 0 and "expected files that match" in result.stderr


cmake, *mode = sys.argv[1:]
if mode == ["--self-test"]:
    wrong = []
    for name, refused, wanted in [
        ("a check's pattern", refuses(lambda: matching(ROOT, "core/*.cpp")), False),
        ("a check's pattern of nothing", refuses(lambda: matching(ROOT, "core/*.none")), True),
        ("tests", cmake_refuses(cmake, f"{ROOT}/tests/core/*.cpp"), False),
        ("tests of an empty folder", cmake_refuses(cmake, f"{ROOT}/tests/none/*.cpp"), True),
        ("planted faults", mutate_refuses("ops/*/*.cpp"), False),
        ("planted faults in no file", mutate_refuses("ops/none/*.cpp"), True),
    ]:
        if refused != wanted:
            wrong.append(f"{name}: expected {'a refusal' if wanted else 'none'}")
    report(wrong, "lists of nothing are refused")
patterns = [pattern for pattern, _ in RULES] + [f"{folder}/**/*" for folder in FOLDERS]
for pattern in patterns:
    matching(ROOT, pattern)
report([], f"{len(patterns)} patterns match files")
