#!/bin/sh
# Layers and ops that models are made of, in turns with LibTorch (libtorch-dev): forward, and forward with the gradients of
# everything, on one and two threads. A figure is LibTorch's time over limpid's: above 1 limpid is faster.
# bench_layers.sh [--rounds N] [--seconds S] [CASE...]: N processes of each program take turns (5 without it), each for S
# seconds a case (0.3); medians over them.
. "$(dirname "$0")/stages.sh"

rounds=5 seconds=0.3
while [ $# -gt 0 ]; do
  case $1 in
    --rounds) rounds=${2:?"bench_layers: expected --rounds N"} && shift 2 ;;
    --seconds) seconds=${2:?"bench_layers: expected --seconds S"} && shift 2 ;;
    *) break ;;
  esac
done

scripts/setup.sh
if [ ! -f /usr/include/torch/csrc/api/include/torch/torch.h ]; then
  echo "bench_layers: expected LibTorch (libtorch-dev), which is not installed" >&2
  exit 1
fi
stage "configure release" cmake --preset release
stage "build limpid_bench_layers" cmake --build --preset release --target limpid_bench_layers
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
stage "build bench/peers/libtorch_layers.cpp" "${CXX:-g++}" -std=c++20 -O2 -w -Ibuild/release/include \
  -isystem /usr/include/torch/csrc/api/include bench/peers/libtorch_layers.cpp -o "$work/libtorch" -ltorch -ltorch_cpu -lc10
exec python3 - "$rounds" "$seconds" build/release/bench/limpid_bench_layers "$work/libtorch" "$@" <<'END'
import statistics, subprocess, sys
rounds, seconds, ours, peer, *wanted = sys.argv[1:]
lines = lambda *command: subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
cases = wanted or lines(ours, "--list")
print(f"{'':22}{'1 thread: forward':>34}{'with gradients':>22}{'2 threads: forward':>22}{'with gradients':>22}")
for case in cases:
    cells = []
    for threads in "1", "2":
        times = {ours: [], peer: []}
        for _ in range(int(rounds)):
            for program in times:
                times[program].append([float(us) for us in lines(program, case, threads, seconds)[-1].split()])
        for what in 0, 1:
            us, theirs = (statistics.median(t[what] for t in times[program]) for program in (ours, peer))
            cells.append(f"{us:10.0f} us {theirs / us:8.2f}")
    print(f"{case:22}" + " ".join(f"{cell:>22}" for cell in cells), flush=True)
END
