#!/bin/sh
# Proves the gradients of every op at orders one and two, reverse and forward mode, and prints the worst error of each.
# gradients.sh [--seeds N] [--rtol R] [ROW...]: N draws of inputs and cotangents per op; see tests/gradients/main.cpp.
. "$(dirname "$0")/stages.sh"
scripts/setup.sh
build release --target limpid_gradients
exec build/release/tests/limpid_gradients "$@"
