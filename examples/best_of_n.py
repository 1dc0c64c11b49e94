"""Best of N: rank the candidates of every prompt in a file and print the one that scores best.

scripts/serve                                              # in one terminal
python examples/best_of_n.py --url http://127.0.0.1:8000   # in another
"""

import argparse
import json
import statistics
from pathlib import Path

from codepmp_client import Input, RewardClient

DATA = Path(__file__).parent / "data/candidates.jsonl"

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("--url", default="http://127.0.0.1:8000")
parser.add_argument("--data", type=Path, default=DATA, help="rows of `prompt` and `candidates`")
arguments = parser.parse_args()

rows = [json.loads(line) for line in arguments.data.read_text("utf-8").splitlines()]
inputs = [Input(row["prompt"], [each["text"] for each in row["candidates"]]) for row in rows]

# One call for all prompts. The server computes each prompt once for all its candidates.
with RewardClient(arguments.url) as client:
    results = client.score_many(inputs)

hits, chance = [], []
for row, result in zip(rows, results, strict=True):
    print(f"\n{row['prompt']}")
    for index in result.ranking:
        candidate, score = row["candidates"][index], result.scores[index]
        first_line, *rest = candidate["text"].splitlines()
        mark = "right" if candidate["correct"] else "wrong"
        print(f"  {score.raw:8.3f}  {mark}  {first_line} {' '.join(map(str.strip, rest))}")
    # A candidate that cannot be scored has an error in place of a score, and is in no ranking.
    for score in result.scores:
        if score.error:
            print(f"     error  {score.error.message}")
    hits.append(result.best is not None and row["candidates"][result.best]["correct"])
    chance.append(statistics.mean(each["correct"] for each in row["candidates"]))

print(
    f"\nThe best of each prompt is right {sum(hits)} times of {len(rows)}; "
    f"a random choice would be {sum(chance):.1f} times."
)
