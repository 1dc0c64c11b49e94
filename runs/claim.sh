#!/usr/bin/env bash
# What does pretraining on code preferences buy? One base, with and without it, finetuned on other tasks.
#
#   runs/claim.sh DATA [WORK]       DATA holds mbpp/, candidates/ and logic_llm/; default WORK work/claim
#
# The base is that of the default release. Five hours on two cores, most of them for the base.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
scripts/install trainer bench

data=${1:?folder of the data of the tasks: see benchmarks/README.md} work=${2:-work/claim}
mkdir -p "$work"
[ -d "$work/packages" ] || .venv/bin/python -m pip install --quiet --no-deps --no-compile \
    --only-binary=:all: --target "$work/packages" --requirement runs/packages.txt

export OMP_WAIT_POLICY=PASSIVE # two busy-waiting threads on two cores stall when anything else runs
