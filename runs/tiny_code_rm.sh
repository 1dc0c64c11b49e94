#!/usr/bin/env bash
# Makes the embedded default release from 116 permissively licensed packages and the standard library.
#
#   runs/tiny_code_rm.sh [WORK]       four hours on two cores; default WORK is work/tiny_code_rm
#
# The packages are pinned in packages.txt and only read, never imported or run.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
scripts/install trainer

work=${1:-work/tiny_code_rm}
mkdir -p "$work"
[ -d "$work/packages" ] || .venv/bin/python -m pip install --quiet --no-deps --no-compile \
    --only-binary=:all: --target "$work/packages" --requirement runs/packages.txt

export OMP_WAIT_POLICY=PASSIVE # busy-waiting threads stall when anything else runs
for stage in corpus pairs base warmup pretrain hard_pairs harden calibrate evaluate publish; do
    .venv/bin/python -m trainer "$stage" --recipe tiny_code_rm --work "$work"
done

.venv/bin/python -m trainer verify "$work/release"
cat "$work/release/README.md"
