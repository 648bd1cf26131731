#!/bin/sh
# Training steps in turns with LibTorch (libtorch-dev), then those of the MLPs in turns with the same written by hand:
# forward, and whole steps, on one and two threads. Options are those of scripts/bench_peer.py, for the first of the two:
# --rounds, --seconds, --csv, CASE...
. "$(dirname "$0")/beside_libtorch.sh"
beside_libtorch steps "$@"
build_peer by_hand_steps -O3 -march=native -ffast-math -lopenblas
in_turns steps by_hand_steps --rounds 9 mlp
