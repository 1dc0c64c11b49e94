#!/usr/bin/env bash
# A reward model of your own from a CSV file of preferences (columns prompt, chosen, rejected), then its check.
#   examples/own_rm_from_csv.sh work/example-rm
#   BASE=HuggingFaceTB/SmolLM2-135M-Instruct DATA=mine.csv examples/own_rm_from_csv.sh work/mine
# STEPS=N bounds the steps of training.
set -euo pipefail
out=${1:-work/example-rm}
checkout=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
# By default the small release that is in this checkout is trained on; it takes a minute on a CPU.
base=${BASE:-$checkout/releases/tiny-code-rm} data=${DATA:-$checkout/examples/data/preferences.csv}

"$checkout/scripts/train" --base "$base" --data "$data" --out "$out" ${STEPS:+--max-steps "$STEPS"}

# Would a server become ready with it? It says how many golden scores were reproduced, and what memory allows.
"$checkout/scripts/serve" --check --model "$out/release" --port 0
