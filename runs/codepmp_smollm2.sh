#!/usr/bin/env bash
# A release on SmolLM2-135M, as the paper makes reward models (arXiv 2410.02229) and from facts: two real language models write pairs
# of code, the stronger one's programs are run, and SmolLM2-135M learns from both.
#
#   runs/codepmp_smollm2.sh STRONG WEAK DATA [WORK]
#
# STRONG and WEAK are the folders of Qwen2.5-Coder-0.5B-Instruct and SmolLM2-135M-Instruct, or of other models that follow
# instructions; WEAK is also what the reward model starts from. DATA holds MBPP's mbpp.jsonl and GSM8K solutions with labels,
# gsm8k*.jsonl, or .gz. SNIPPETS is the number of functions that are described, 3000 unless you set it. Run again after an
# interruption, or with more SNIPPETS, it asks only for what has no answer yet.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
strong=${1:?STRONG: folder of the stronger language model}
weak=${2:?WEAK: folder of the weaker language model, the start of the reward model}
data=${3:?DATA: folder of the problems and solutions}
work=${4:-work/codepmp_smollm2}

scripts/install trainer
scripts/install-vllm
scripts/install-tools || true # brings bubblewrap; the first stage that needs it says if there is none
mkdir -p "$work"
cp -u "$data"/*.jsonl* "$work/"

export OMP_WAIT_POLICY=PASSIVE # busy-waiting threads stall when anything else runs
export VLLM_CPU_KVCACHE_SPACE=3 VLLM_CPU_NUM_OF_RESERVED_CPU=0
source runs/serving.sh
stage() {
    .venv/bin/python -m trainer "$1" --recipe codepmp_smollm2 --work "$work" \
        --set "pretrain.start=$weak" --set "samples.policy=$strong" --set "describe.max_snippets=${SNIPPETS:-3000}"
}

stage corpus   # functions of the standard library and of installed packages
stage problems # MBPP's, with tests that their reference passes

strong_port=$(free_port)
serve "$strong" Qwen2.5-Coder-0.5B-Instruct "$strong_port" bfloat16 "$work/strong.log"
weak_port=$(free_port)
serve "$weak" SmolLM2-135M-Instruct "$weak_port" bfloat16 "$work/weak.log"
export CODEPMP_STRONG_URL=http://127.0.0.1:$strong_port/v1 CODEPMP_WEAK_URL=http://127.0.0.1:$weak_port/v1

ready "$strong_port" "${servers[0]}" "$work/strong.log"
stage describe # what each function is for, in words
stage strong   # code from those words alone: chosen
ready "$weak_port" "${servers[1]}" "$work/weak.log"
stage weak     # the same words, the weaker model: rejected
stop_servers

stage llm_pairs    # filtered, reasons counted, held out by package
stage pretrain     # ranking loss + language-model loss
stage samples      # programs for the problems, eight for each, by the stronger model
stage votes        # the programs are run on the given tests
stage policy_pairs # right programs over wrong ones
stage preferences  # right solutions over wrong ones of the same model family
stage finetune     # the ranking loss alone, on facts
stage calibrate
stage evaluate
stage publish

.venv/bin/python -m trainer verify "$work/release"
cat "$work/release/README.md"
printf '\nReport:    %s\nServe it:  scripts/serve --model %s\n' "$work/evaluate/report.html" "$work/release"
