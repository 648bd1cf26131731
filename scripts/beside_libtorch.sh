# What scripts/bench_layers.sh, bench_ops.sh and bench_steps.sh share: a program of cases in turns with a peer's.
. "$(dirname "$0")/stages.sh"

# build_peer NAME OPTION...: bench/peers/NAME.cpp, by these options of the compiler.
build_peer() {
  peer=$1
  shift
  stage "build bench/peers/$peer.cpp" "${CXX:-g++}" -std=c++20 -w -Ibuild/release/include "bench/peers/$peer.cpp" \
    -o "build/release/bench/$peer" "$@"
}

# build_beside_libtorch NAME: bench/bench_NAME.cpp and bench/peers/libtorch_NAME.cpp.
build_beside_libtorch() {
  scripts/setup.sh
  if [ ! -f /usr/include/torch/csrc/api/include/torch/torch.h ]; then
    echo "bench_$1: expected LibTorch (libtorch-dev), which is not installed" >&2
    exit 1
  fi
  stage "configure release" cmake --preset release
  stage "build limpid_bench_$1" cmake --build --preset release --target "limpid_bench_$1"
  build_peer "libtorch_$1" -O2 -isystem /usr/include/torch/csrc/api/include -ltorch -ltorch_cpu -lc10
}

# in_turns NAME PEER [OPTION...]: both programs, built, by scripts/bench_peer.py.
in_turns() {
  name=$1
  peer=$2
  shift 2
  python3 -B scripts/bench_peer.py "build/release/bench/limpid_bench_$name" "build/release/bench/$peer" "$@"
}

# beside_libtorch NAME [OPTION...]
beside_libtorch() {
  name=$1
  shift
  build_beside_libtorch "$name"
  in_turns "$name" "libtorch_$name" "$@"
}
