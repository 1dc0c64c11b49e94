"""Look at scores: right against wrong candidates, and score against length, as one picture.

scripts/serve                                                             # in one terminal
codepmp-score rows examples/data/candidates.jsonl scored.jsonl --url http://127.0.0.1:8000
python examples/score_plot.py scored.jsonl scores.svg
"""

import argparse
import json
from pathlib import Path

import matplotlib

matplotlib.use("Agg")  # Draws into files, so that no display is needed.
from matplotlib import pyplot

parser = argparse.ArgumentParser(
    description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
)
parser.add_argument("scored", type=Path, help="rows with `candidates` and `scores`")
parser.add_argument("picture", type=Path, help="a name that ends in .svg, .png or .pdf")
arguments = parser.parse_args()

right: list[tuple[int, float]] = []
wrong: list[tuple[int, float]] = []
for line in arguments.scored.read_text("utf-8").splitlines():
    row = json.loads(line)
    scores = [score for score in row["scores"] if score is not None]
    # Scores are comparable between candidates of one prompt, so each prompt's mean is taken off.
    mean = sum(scores) / max(1, len(scores))
    for candidate, score in zip(row["candidates"], row["scores"], strict=True):
        if score is not None:
            side = right if candidate["correct"] else wrong
            side.append((len(candidate["text"]), score - mean))

figure, (histogram, scatter) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
labels, colors = ["right", "wrong"], ["tab:green", "tab:red"]
histogram.hist([[score for _, score in side] for side in (right, wrong)], bins=12, color=colors)
for side, label, color in zip((right, wrong), labels, colors, strict=True):
    scatter.scatter(*zip(*side, strict=True), alpha=0.6, color=color, label=label)
histogram.set(xlabel="score above its prompt's mean", ylabel="candidates")
# A reward model that only likes long answers shows as a slope here.
scatter.set(xlabel="characters", ylabel="score above its prompt's mean")
scatter.legend()
figure.savefig(arguments.picture)
print(f"{len(right)} right and {len(wrong)} wrong candidates are drawn in {arguments.picture}")
