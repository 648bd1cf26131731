# What scripts/bench_layers.sh and scripts/bench_ops.sh share: a program of cases in turns with LibTorch's.
. "$(dirname "$0")/stages.sh"

# beside_libtorch NAME [OPTION...]: bench/bench_NAME.cpp beside bench/peers/libtorch_NAME.cpp, by scripts/bench_peer.py.
beside_libtorch() {
  name=$1
  shift
  scripts/setup.sh
  if [ ! -f /usr/include/torch/csrc/api/include/torch/torch.h ]; then
    echo "bench_$name: expected LibTorch (libtorch-dev), which is not installed" >&2
    exit 1
  fi
  stage "configure release" cmake --preset release
  stage "build limpid_bench_$name" cmake --build --preset release --target "limpid_bench_$name"
  stage "build bench/peers/libtorch_$name.cpp" "${CXX:-g++}" -std=c++20 -O2 -w -Ibuild/release/include \
    -isystem /usr/include/torch/csrc/api/include "bench/peers/libtorch_$name.cpp" -o "build/release/bench/libtorch_$name" \
    -ltorch -ltorch_cpu -lc10
  exec python3 -B scripts/bench_peer.py "build/release/bench/limpid_bench_$name" "build/release/bench/libtorch_$name" "$@"
}
