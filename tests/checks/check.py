"""What the checks share: compiler runs in parallel, and one way to fail, to skip, to prove that a check can fail."""
import concurrent.futures
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ["core", "autograd", "ops", "nn", "examples"]  # in the order in which they may include each other
SKIPPED = 77


def matching(root, pattern):
    """The files below root that match. None ends the check: a list that lost its files would pass for one in order."""
    found = sorted(p for p in root.glob(pattern) if p.is_file())
    if not found:
        sys.exit(f"{root}: expected files that match {pattern}, got none")
    return found


def sources(*suffixes, root=ROOT, folders=FOLDERS):
    """The files of these folders (and of the top) with these suffixes; of the project's own, some in each folder."""
    found = [p for p in root.glob("*") if p.is_file()]
    for folder in folders:
        found += matching(root, f"{folder}/**/*") if root == ROOT else (root / folder).rglob("*")
    return sorted(p for p in found if p.suffix in suffixes)


def is_public(header):
    """Whether this header (relative to the root) is installed."""
    return header.suffix == ".hpp" and header.parts[0] not in ("examples", "tests", "bench") and not (
        {"detail", "kernels"} & set(header.parts))


def run(command, **options):
    return subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, **options)


def in_parallel(function, items):
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return list(pool.map(function, items))


def first_lines(text, count=20):
    return "\n".join(text.splitlines()[:count])


def skip(reason):
    print("skipped:", reason)
    sys.exit(SKIPPED)


def report(faults, passed):
    """Ends the check: with the faults, or with what was found in order."""
    if faults:
        sys.exit("\n".join(faults))
    print(passed)
    sys.exit(0)


def must_find(cases, faults_of):
    """The self-test of a check: each case is {path: text} of a small tree and whether it has a fault."""
    wrong = []
    for name, files, faulty in cases:
        with tempfile.TemporaryDirectory() as folder:
            for path, text in files.items():
                file = Path(folder, path)
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_text(text)
            faults = faults_of(Path(folder))
        if bool(faults) != faulty:
            wrong.append(f"{name}: expected {'a fault' if faulty else 'no fault'}, got {faults}")
    report(wrong, f"{len(cases)} cases told apart")
