#!/usr/bin/env bash
# From candidates to a policy by DPO in three commands: score, pair, train.
#   scripts/serve                                                     # in one terminal
#   examples/dpo_pairs.sh http://127.0.0.1:8000 work/example-pairs    # in another; STEPS=N bounds the training
set -euo pipefail
url=${1:-http://127.0.0.1:8000} out=${2:-work/example-pairs}
examples=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$out"

# The same rows with the columns `scores`, `normalized` and `errors`. If it is stopped, the same command goes on.
codepmp-score rows "$examples/data/candidates.jsonl" "$out/scored.jsonl" --url "$url" --force

# The best candidate of each prompt over the worst, as conversations: TRL's columns, with scores and margin.
codepmp-score pairs "$out/scored.jsonl" "$out/pairs.jsonl" --messages --force
head -n 1 "$out/pairs.jsonl"

python "$examples/dpo_trl.py" "$out/pairs.jsonl" --out "$out/policy" ${STEPS:+--steps "$STEPS"}
