#!/usr/bin/env bash
# Measures what pretraining on code preferences gains: one base, with and without it, finetuned on other tasks.
#
#   runs/claim.sh DATA [WORK]       DATA holds mbpp/, candidates/ and logic_llm/; default WORK work/claim
#
# The base is that of the default release. Five hours on two cores, most of them for base and pretraining. Short runs come first,
# one for each loss and schedule: all are stages called pretrain, so each is moved away from where the next one is written.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
scripts/install trainer bench

data=${1:?folder of the data of the tasks: see benchmarks/README.md} work=${2:-work/claim}
mkdir -p "$work"
[ -d "$work/packages" ] || .venv/bin/python -m pip install --quiet --no-deps --no-compile \
    --only-binary=:all: --target "$work/packages" --requirement runs/packages.txt

export OMP_WAIT_POLICY=PASSIVE # busy-waiting threads stall when anything else runs
stage() { .venv/bin/python -m trainer "$1" --recipe tiny_code_rm --work "$work" "${@:2}"; }
short() {
    stage pretrain --set pretrain.max_steps=100 --set pretrain.weights.tokens=0 "${@:2}"
    mv "$work/pretrain" "$work/short_$1"
}

for name in corpus pairs base warmup; do stage "$name"; done
short both
short rm --set pretrain.weights.lm=0
short lm --set pretrain.weights.rank=0 --set pretrain.with_rejected=false
short cosine --set pretrain.lr_scheduler_type=cosine
stage pretrain

.venv/bin/python -m benchmarks.claim --work "$work" --data "$data" --ablations --write
