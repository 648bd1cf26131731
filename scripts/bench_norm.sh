#!/bin/sh
# instance_norm beside a copy and a + b -> c over the shape table, and beside LibTorch where it is installed.
# bench_norm.sh [--csv FILE]: FILE gets one line per case and library.
. "$(dirname "$0")/stages.sh"

csv=$(mktemp)
work=$(mktemp -d)
trap 'rm -rf "$work" "$csv"' EXIT
case ${1-} in
  "") out= ;;
  --csv) out=${2:?"bench_norm: expected --csv FILE"} ;;
  *)
    echo "bench_norm: expected --csv FILE or nothing, got $1" >&2
    exit 2
    ;;
esac

scripts/setup.sh
stage "configure release" cmake --preset release -DLIMPID_BUILD_BENCH=ON
stage "build limpid_bench_norm" cmake --build --preset release --target limpid_bench_norm
build/release/bench/limpid_bench_norm --csv "$csv"

if [ -f /usr/include/torch/csrc/api/include/torch/torch.h ]; then
  stage "build bench/peers/libtorch_norm.cpp" "${CXX:-g++}" -std=c++20 -O2 -w -Ibuild/release/include \
    -isystem /usr/include/torch/csrc/api/include bench/peers/libtorch_norm.cpp -o "$work/libtorch_norm" \
    -ltorch -ltorch_cpu -lc10
  "$work/libtorch_norm" >>"$csv"
  # Times of the same case side by side, then the geometric mean of forward + backward for each layout.
  awk -F, '
    $1 == "limpid" { ours[$2 FS $3 FS $4] = $6 }
    $1 == "libtorch" {
      if (!n++) printf "%-16s %-13s %7s %12s %12s %9s\n", "LibTorch", "layout", "threads", "fwd", "fwd+bwd", "x limpid"
      ratio = $6 / ours[$2 FS $3 FS $4]
      printf "%-16s %-13s %7d %12.2f %12.2f %9.2f\n", $2, $3, $4, $5, $6, ratio
      group = $3 ", " $4 " thread(s)"
      if (!(group in count)) order[++groups] = group
      logs[group] += log(ratio)
      count[group]++
    }
    END {
      for (i = 1; i <= groups; i++)
        printf "geometric mean of forward + backward, %s: %.1fx\n", order[i], exp(logs[order[i]] / count[order[i]])
    }' "$csv"
else
  echo "LibTorch is not installed (libtorch-dev): no comparison with it"
fi
if [ -n "$out" ]; then cp "$csv" "$out"; fi
