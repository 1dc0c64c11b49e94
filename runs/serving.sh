# Functions of run scripts that ask language models: each is served by vLLM for the length of the run. Sourced, never run.

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

# serve MODEL NAME PORT DTYPE LOG: starts vLLM with a model. Chunked prefill is off, because vLLM 0.32 on a CPU crashes when it
# prefills a prompt in chunks and the request has a seed.
serve() {
    HF_HUB_OFFLINE=1 VLLM_NO_USAGE_STATS=1 DO_NOT_TRACK=1 VLLM_CPU_KVCACHE_SPACE=${VLLM_CPU_KVCACHE_SPACE:-1} \
        setsid .venv-vllm/bin/python -m vllm.entrypoints.openai.api_server --model "$1" --served-model-name "$2" \
        --dtype "$4" --max-model-len 1024 --max-num-seqs 64 --enforce-eager --no-enable-chunked-prefill \
        --host 127.0.0.1 --port "$3" >"$5" 2>&1 &
    servers+=($!)
}

# ready PORT PID LOG: waits until the server at PORT answers; ends the run if its process has died.
ready() {
    until .venv/bin/python -c "import urllib.request; urllib.request.urlopen('http://127.0.0.1:$1/health')" 2>/dev/null; do
        kill -0 "$2" 2>/dev/null || { tail -n 30 "$3" >&2; exit 1; }
        sleep 2
    done
}
