#!/bin/sh
# Layers and ops that models are made of, in turns with LibTorch (libtorch-dev): forward, and forward with the gradients of
# everything, on one and two threads. Options are those of scripts/bench_peer.py: --rounds, --seconds, --csv, CASE...
. "$(dirname "$0")/beside_libtorch.sh"
beside_libtorch layers "$@"
