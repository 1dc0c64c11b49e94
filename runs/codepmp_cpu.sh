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
export HF_HUB_OFFLINE=1 VLLM_CPU_KVCACHE_SPACE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1
stage() { .venv/bin/python -m trainer "$1" --recipe codepmp_cpu --work "$work"; }

servers=()
stop_servers() {
    for server in "${servers[@]}"; do
        kill -- "-$server" 2>/dev/null || true # its workers too: it leads a session of its own
    done
    for server in "${servers[@]}"; do wait "$server" 2>/dev/null || true; done
    servers=()
}
trap stop_servers EXIT
trap 'exit 130' INT TERM

free_port() { .venv/bin/python -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# serve NAME PORT: starts vLLM with the model $work/NAME_lm, and its log beside it. Chunked prefill is off, because vLLM 0.32 on
# a CPU crashes when it prefills a prompt in chunks and the request has a seed.
serve() {
    setsid .venv-vllm/bin/python -m vllm.entrypoints.openai.api_server --model "$work/$1_lm" --served-model-name "$1" \
        --dtype float32 --max-model-len 1024 --max-num-seqs 64 --enforce-eager --no-enable-chunked-prefill \
        --host 127.0.0.1 --port "$2" >"$work/$1_lm.log" 2>&1 &
    servers+=($!)
}

# ready PORT PID LOG: waits until the server at PORT answers; ends the run if its process has died.
ready() {
    until .venv/bin/python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$1/health')" 2>/dev/null; do
        kill -0 "$2" 2>/dev/null || { tail -n 30 "$3" >&2; exit 1; }
        sleep 2
    done
}

stage corpus    # functions of the standard library
stage pairs     # requests for them, from their docstrings: what the two models below are taught
stage strong_lm # learns to describe code and to write it
stage weak_lm   # smaller, less trained

strong_port=$(free_port)
serve strong "$strong_port"
weak_port=$(free_port)
serve weak "$weak_port"
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
