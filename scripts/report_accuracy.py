#!/usr/bin/env python3
"""The table of what accuracy.sh measured: report_accuracy.py FILE prints it, and with --docs writes it between the marks
in docs/accuracy.md as well."""
import sys
from pathlib import Path

PAGE = Path(__file__).resolve().parents[1] / "docs" / "accuracy.md"
BEGIN, END = "<!-- begin: scripts/report_accuracy.py -->", "<!-- end: scripts/report_accuracy.py -->"
WHAT = ("y, ulp", "dx", "dweight", "dbias")


def table(path):
    peers = {}
    for line in Path(path).read_text().splitlines():
        peer, case, *errors = line.split(";")
        peers.setdefault(peer, {})[case] = [e.replace("-nan", "NaN").replace("nan", "NaN") for e in errors]
    rows = [["input"] + [("LibTorch: " if peer == "libtorch" else "") + what for peer in peers for what in WHAT]]
    for case in peers["limpid"]:
        rows.append([case] + [error for errors in peers.values() for error in errors.get(case, ["-"] * len(WHAT))])
    return rows


rows = table(sys.argv[1])
widths = [max(map(len, column)) for column in zip(*rows)]
for row in rows:
    print("  ".join([row[0].ljust(widths[0])] + [cell.rjust(w) for cell, w in zip(row[1:], widths[1:])]))
if sys.argv[2:] == ["--docs"]:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    text = "\n".join([lines[0], "| --- |" + " ---: |" * (len(rows[0]) - 1), *lines[1:]])
    before, rest = PAGE.read_text().split(BEGIN)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.split(END)[1]}")
elif sys.argv[2:]:
    sys.exit("report_accuracy: expected FILE [--docs]")
