#!/usr/bin/env bash
# Preference-model pretraining as in the paper (arXiv 2410.02229) on two cores: real vLLM writes both sides of the pairs.
#
#   runs/codepmp_cpu.sh [WORK]       WORK holds one folder a stage; default work/codepmp_cpu
#
# No model is downloaded: a stronger and a weaker one are trained here first, in minutes, and write accordingly.
# Run again after an interruption, it trains those afresh and asks them only what they have not answered.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
scripts/install trainer
scripts/install-vllm

work=${1:-work/codepmp_cpu}
mkdir -p "$work"
export OMP_WAIT_POLICY=PASSIVE # busy-waiting threads stall when anything else runs
export HF_HUB_OFFLINE=1
stage() { .venv/bin/python -m trainer "$1" --recipe codepmp_cpu --work "$work"; }

source runs/serving.sh

stage corpus    # functions of the standard library
stage pairs     # requests for them, from their docstrings: what the two models below are taught
stage strong_lm # learns to describe code and to write it
stage weak_lm   # smaller, less trained

strong_port=$(free_port)
serve "$work/strong_lm" strong "$strong_port" float32 "$work/strong_lm.log"
weak_port=$(free_port)
serve "$work/weak_lm" weak "$weak_port" float32 "$work/weak_lm.log"
export CODEPMP_STRONG_URL=http://127.0.0.1:$strong_port/v1 CODEPMP_WEAK_URL=http://127.0.0.1:$weak_port/v1

ready "$strong_port" "${servers[0]}" "$work/strong_lm.log"
stage describe # what each function is for, in words
stage strong   # code from those words alone: chosen
ready "$weak_port" "${servers[1]}" "$work/weak_lm.log"
stage weak     # the same words, the weaker model: rejected
stop_servers

stage llm_pairs  # filtered, reasons counted, held out by package
stage pretrain   # ranking loss + language-model loss, from the stronger model on
stage hard_pairs # preferences that no model wrote: real functions against slips in them
stage finetune   # the ranking loss alone, on those
stage calibrate
stage evaluate
stage publish

.venv/bin/python -m trainer verify "$work/release"
cat "$work/release/README.md"
printf '\nReport:    %s\nServe it:  scripts/serve --model %s\n' "$work/evaluate/report.html" "$work/release"
