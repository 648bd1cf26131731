#!/bin/sh
# How exact instance_norm is on hard inputs, beside LibTorch where it is installed (libtorch-dev).
# accuracy.sh [--docs]: --docs writes the table into docs/accuracy.md.
. "$(dirname "$0")/stages.sh"

case ${1-} in
  "" | --docs) ;;
  *)
    echo "accuracy: expected --docs or nothing, got $1" >&2
    exit 2
    ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

scripts/setup.sh
stage "configure release" cmake --preset release
stage "build limpid_bench_accuracy" cmake --build --preset release --target limpid_bench_accuracy
stage "measure limpid" sh -c "build/release/bench/limpid_bench_accuracy >$work/errors"
if [ -f /usr/include/torch/csrc/api/include/torch/torch.h ]; then
  stage "build bench/peers/libtorch_accuracy.cpp" "${CXX:-g++}" -std=c++20 -O2 -w -Ibuild/release/include \
    -isystem /usr/include/torch/csrc/api/include bench/peers/libtorch_accuracy.cpp -o "$work/libtorch_accuracy" \
    -ltorch -ltorch_cpu -lc10
  stage "measure LibTorch" sh -c "$work/libtorch_accuracy >>$work/errors"
else
  echo "LibTorch is not installed (libtorch-dev): no comparison with it"
fi
python3 scripts/report_accuracy.py "$work/errors" ${1+"$1"}
