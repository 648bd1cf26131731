"""Cases of a program of limpid's in turns with a peer's.

bench_peer.py OURS PEER [--rounds N] [--seconds S] [--csv FILE] [CASE...]: N processes of each program take turns (3),
each for S seconds a case (0.1), on one and on two threads; medians over them. A figure is the peer's time over ours:
above 1 ours is faster. CASE names cases by their beginning. FILE gets all medians, in microseconds.
"""
import argparse
import math
import statistics
import subprocess

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("ours")
parser.add_argument("peer")
parser.add_argument("--rounds", type=int, default=3)
parser.add_argument("--seconds", default="0.1")
parser.add_argument("--csv")
parser.add_argument("cases", nargs="*")
arguments = parser.parse_intermixed_args()
programs = arguments.ours, arguments.peer


def lines(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


known = lines(arguments.ours, "--list")
wanted = [case for case in known if not arguments.cases or case.startswith(tuple(arguments.cases))]
if not wanted:
    parser.error(f"expected beginnings of cases among {known}, got {arguments.cases}")
width = max(map(len, wanted)) + 2
columns = [f"{what}, {threads}" for threads in ("1 thread", "2 threads") for what in ("forward", "gradients")]
print(" " * width + "".join(f"{column:>24}" for column in columns))
rows, ratios = [], [[] for _ in columns]
for case in wanted:
    cells = []
    for threads in "1", "2":
        times = [[], []]
        for _ in range(arguments.rounds):
            for program, found in zip(programs, times):
                found.append([float(us) for us in lines(program, case, threads, arguments.seconds)[-1].split()])
        cells += [[statistics.median(t[what] for t in found) for found in times] for what in (0, 1)]
    rows.append((case, cells))
    for (ours, theirs), of_column in zip(cells, ratios):
        of_column.append(theirs / ours)
    print(f"{case:{width}}" + "".join(f"{ours:13.1f} us {theirs / ours:7.2f}" for ours, theirs in cells), flush=True)
means = [math.exp(statistics.mean(map(math.log, of_column))) for of_column in ratios]
print(f"{'geometric mean':{width}}" + "".join(f"{mean:24.2f}" for mean in means))
slower = sorted((theirs / ours, column, case) for case, cells in rows for (ours, theirs), column in zip(cells, columns)
                if theirs < 0.95 * ours)
print(f"{len(slower)} of {len(rows) * len(columns)} figures below 0.95")
for ratio, column, case in slower:
    print(f"  {ratio:.2f}  {case} ({column})")
if arguments.csv:
    with open(arguments.csv, "w") as file:
        file.write("case,column,limpid_us,peer_us\n")
        for case, cells in rows:
            for (ours, theirs), column in zip(cells, columns):
                file.write(f'{case},"{column}",{ours:.2f},{theirs:.2f}\n')
