"""The digits example says in one line what is wrong with its command line or its files, before it trains.

command_line.py [EMULATOR...] DIGITS
"""
import subprocess
import sys
import tempfile
from pathlib import Path

digits = sys.argv[1:]
faults = []


def run(*arguments, out=subprocess.PIPE):
    # A run that gets as far as training has one digit to train on.
    return subprocess.run([*digits, *arguments], stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.PIPE, text=True,
                          timeout=200)


def refused(what, result):
    lines = result.stderr.splitlines()
    if result.returncode != 2 or len(lines) != 1 or not lines[0].startswith("digits: "):
        faults.append(f"{what}: expected code 2 and one line of error, got {result.returncode} and\n{result.stderr}")
    if "filesystem error" in result.stderr:
        faults.append(f"{what}: expected a message of the program's own, got {result.stderr}")


with tempfile.TemporaryDirectory() as name:
    folder = Path(name)
    (folder / "file").write_text("")
    (folder / "out/model.safetensors").mkdir(parents=True)
    for name, target in ("dangling", "nowhere/x"), ("loop", "loss.svg"):
        (folder / name).mkdir()
        (folder / name / "loss.svg").symlink_to(target)
    out = ["--out", folder / "new"]
    for arguments in (["--data", ""], ["--data="], ["--data", folder / "none"], ["--data", folder / "file"],
                      ["--data", folder, *out], ["--out", ""], ["--out", "/dev/null/x"], ["--out", folder / "file"],
                      ["--out", folder / "out"], ["--out", folder / "dangling"], ["--out", folder / "loop"], ["--out", "/proc/nope"], ["--out", "/proc"], ["--epochs", "0"], ["--epochs", "x"], ["--epochs", "1e3"], ["--epochs"],
                      ["--lr", "nan"], ["--lr", "0"], ["--seed", "-1"], ["--threads", "9999999999999999999"],
                      ["--bogus"], ["word"]):
        refused(" ".join(map(str, arguments)), run(*arguments))
    if list((folder / "out").iterdir()) != [folder / "out/model.safetensors"]:
        faults.append("expected nothing to be left in a folder for output that is refused")
    if Path("/dev/full").exists():
        with open("/dev/full", "w") as full:
            refused("--help to a full device", run("--help", out=full))
            refused("a run to a full device", run(*out, "--train", "1", "--test", "1", out=full))
    usage = run("--help")
    if usage.returncode != 0 or usage.stderr or "--data DIR" not in usage.stdout:
        faults.append(f"--help: expected the usage, got {usage}")

if faults:
    sys.exit("\n".join(faults))
