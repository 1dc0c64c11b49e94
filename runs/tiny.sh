#!/usr/bin/env bash
# Trains a reward model from source code to a release, in 13 minutes on two cores.
#
#   runs/tiny.sh [WORK]       WORK holds one folder a stage; default work/tiny
#
# The result ranks better than chance and shows that every stage works; it is not meant for use.
# The default release is made by the same stages from more packages in more steps: tiny_code_rm.sh.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
scripts/install trainer

work=${1:-work/tiny}
mkdir -p "$work"
export OMP_WAIT_POLICY=PASSIVE # busy-waiting threads stall when anything else runs
stage() { .venv/bin/python -m trainer "$1" --recipe cpu_tiny --work "$work"; }

stage corpus     # functions of the standard library and of what is installed under permissive licenses
stage pairs      # a request for each; the real function is chosen, and rejected ones are made from it
stage base       # a tokenizer that takes identifiers apart, and a small decoder with random weights
stage warmup     # plain language modelling: random weights must learn to read before they can rank
stage pretrain   # then ranking loss + language-model loss, every shared prefix computed once
stage hard_pairs # pairs that names do not give away: unnamed functions, single slips, close neighbours
stage harden     # the same losses once more, on the hard pairs
stage calibrate  # mean and spread of scores, so that clients can read them as normalized scores
stage evaluate   # pairwise accuracy on packages no stage has seen, beside length and chance
stage publish    # the release, its manifest last

.venv/bin/python -m trainer verify "$work/release"
cat "$work/release/README.md"
printf '\nServe it:  scripts/serve --model %s\n' "$work/release"
