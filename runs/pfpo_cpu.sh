#!/usr/bin/env bash
# Pseudo feedback (arXiv 2411.16345) on two cores: a real policy learns from votes of its own outputs, beside given tests
# (arXiv 2410.18585) and random pairs as the control.
#
#   runs/pfpo_cpu.sh MODEL DATA [WORK]         programs: DATA holds MBPP's mbpp.jsonl or mbpp.jsonl.gz
#   runs/pfpo_cpu.sh --math MODEL DATA [WORK]  final answers: DATA holds GSM8K's train.jsonl and test.jsonl, or .gz
#
# MODEL is a directory or hub id of a small instruction-tuned model, such as Qwen2.5-Coder-0.5B-Instruct. Hours, most of them
# for sampling. REWARD_BASE names the directory or hub id of a small model that a reward model of the samples is made from;
# default SmolLM2-135M-Instruct of the hub. Run again after an interruption, it goes on where it was: answers, runs and training steps are kept.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."

recipe=pfpo_cpu
if [ "${1-}" = --math ]; then
    recipe=pfpo_math_cpu
    shift
fi
model=${1:?MODEL: directory or hub id of an instruction-tuned language model}
data=${2:?DATA: folder of the problems}
work=${3:-work/$recipe}

scripts/install trainer
scripts/install-vllm
scripts/install-tools || true # brings bubblewrap; the first stage says if there is none
mkdir -p "$work"
cp -u "$data"/*.jsonl* "$work/"

export OMP_WAIT_POLICY=PASSIVE # busy-waiting threads stall when anything else runs
settings=(--set "start.policy=$model")
if [ "$recipe" = pfpo_cpu ] && [ "${REWARD_BASE-}" ]; then settings+=(--set "finetune.start=$REWARD_BASE"); fi
.venv/bin/python -m trainer run --recipe "$recipe" --work "$work" "${settings[@]}"
cat "$work/policy_report/report.md"
