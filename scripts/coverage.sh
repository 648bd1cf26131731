#!/bin/sh
# What every row of the op table is tried for, printed as the table of docs/coverage.md.
# coverage.sh [--docs | --vectors]: --docs writes it into the page; --vectors makes tests/data/ops.npz anew by PyTorch
# (python3-torch), for rows that are new or draw other inputs.
. "$(dirname "$0")/stages.sh"

case ${1-} in
  "" | --docs | --vectors) ;;
  *)
    echo "coverage: expected --docs, --vectors or nothing, got $1" >&2
    exit 2
    ;;
esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

scripts/setup.sh
build release --target limpid_coverage
if [ "${1-}" = --vectors ]; then
  build/release/tests/limpid_coverage --inputs "$work/inputs.npz"
  exec python3 tests/reference/op_vectors.py "$work/inputs.npz"
fi
OMP_NUM_THREADS=1 build/release/tests/limpid_coverage >"$work/table"
if [ "${1-}" = --docs ]; then
  python3 - docs/coverage.md "$work/table" <<'END'
import pathlib, sys
page, table = map(pathlib.Path, sys.argv[1:])
begin, end = "<!-- begin: limpid_coverage -->\n", "<!-- end: limpid_coverage -->"
before, rest = page.read_text().split(begin)
page.write_text(before + begin + table.read_text() + end + rest.split(end)[1])
END
else
  cat "$work/table"
fi
