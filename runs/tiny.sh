#!/usr/bin/env bash
# The whole thread in 13 minutes on two cores: source code in, a released reward model out.
#
#   runs/tiny.sh [WORK]       WORK holds one folder a stage; default work/tiny
#
# What comes out ranks better than chance and is no more than a proof that every stage works. The
# default release was made by the same stages with more packages and more steps: tiny_code_rm.sh.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
scripts/install trainer

work=${1:-work/tiny}
mkdir -p "$work"
export OMP_WAIT_POLICY=PASSIVE # threads that spin while they wait stall when anything else runs
stage() { .venv/bin/python -m trainer "$1" --recipe cpu_tiny --work "$work"; }

stage corpus     # functions of the standard library and of what is installed under permissive licences
stage pairs      # a request for each; the real function is chosen, and rejected ones are made from it
stage base       # a tokenizer that takes identifiers apart, and a small decoder with random weights
stage warmup     # plain language modelling first: a model that cannot read cannot prefer
stage pretrain   # then ranking loss + language-model loss, every shared prefix computed once
stage hard_pairs # nothing to match but meaning: unnamed functions, more single slips, close neighbours
stage harden     # the same losses once more, on those
stage calibrate  # what is an average score, and how far do scores spread
stage evaluate   # pairwise accuracy on packages no stage has seen, beside length and chance
stage publish    # the release, its manifest last

.venv/bin/python -m trainer verify "$work/release"
cat "$work/release/README.md"
printf '\nServe it:  scripts/serve --model %s\n' "$work/release"
