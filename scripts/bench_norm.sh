#!/bin/sh
# instance_norm over the shape table, beside a copy, a + b -> c, and LibTorch where it is installed (libtorch-dev):
# contiguous and channels-last, one and two threads, forward and forward + backward. Takes a few minutes.
# bench_norm.sh [--csv FILE] [--docs] [--seconds PER_CASE]
#   --csv   also writes the times to FILE, one line per case and library
#   --docs  writes docs/performance.csv, and from it the tables and the plot of docs/performance.md
. "$(dirname "$0")/stages.sh"

csv=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$work" "$csv"' EXIT
out= docs= seconds=0.3
while [ $# -gt 0 ]; do
  case $1 in
    --csv) out=${2:?"bench_norm: expected --csv FILE"} && shift ;;
    --seconds) seconds=${2:?"bench_norm: expected --seconds PER_CASE"} && shift ;;
    --docs) docs=1 ;;
    *)
      echo "bench_norm: expected [--csv FILE] [--docs] [--seconds PER_CASE], got $1" >&2
      exit 2
      ;;
  esac
  shift
done

scripts/setup.sh
stage "configure release" cmake --preset release
stage "build limpid_bench_norm" cmake --build --preset release --target limpid_bench_norm
peer=
if [ -f /usr/include/torch/csrc/api/include/torch/torch.h ]; then
  peer=$work/libtorch_norm
  stage "build bench/peers/libtorch_norm.cpp" "${CXX:-g++}" -std=c++20 -O2 -w -Ibuild/release/include \
    -isystem /usr/include/torch/csrc/api/include bench/peers/libtorch_norm.cpp -o "$peer" -ltorch -ltorch_cpu -lc10
else
  echo "LibTorch is not installed (libtorch-dev): no comparison with it"
fi

cpu=$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)
# One core's; getconf adds up those of all of the processor's.
cache=$(cat /sys/devices/system/cpu/cpu0/cache/index3/size 2>/dev/null) || cache=unknown
echo "# ${cpu:-unknown processor}, $(nproc) cores, last-level cache ${cache}" >"$csv"
echo "peer,shape,layout,threads,forward_us,forward_backward_us,copy_us,add_us" >>"$csv"
# Case by case, so that both meet the machine in the same mood.
started=$(date +%s)
for shape in 1x4x8x8 4x3x64x64 8x64x56x56 4x128x128x128 1x64x512x512 6x128x6x7x7 2x32x64x64x64 16x512x4x4; do
  for threads in 1 2; do
    printf '\rmeasuring %s, %s threads ...            ' "$shape" "$threads" >&2
    for program in build/release/bench/limpid_bench_norm $peer; do
      "$program" --csv "$csv" --shape "$shape" --threads "$threads" --seconds "$seconds" >"$work/log"
    done
  done
done
printf '\r%60s\r' '' >&2
echo "measured in $(($(date +%s) - started)) s"
python3 scripts/report_norm.py "$csv"
if [ -n "$out" ]; then cp "$csv" "$out"; fi
if [ -n "$docs" ]; then
  cp "$csv" docs/performance.csv
  python3 scripts/report_norm.py docs/performance.csv --docs
fi
