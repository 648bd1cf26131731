#!/bin/sh
# Builds limpid and trains the digits example; arguments go to the example.
. "$(dirname "$0")/stages.sh"
scripts/setup.sh
build release --target examples/digits/digits
exec build/release/examples/digits/digits "$@"
