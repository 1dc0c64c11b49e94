"""Samples with how many tests they pass, as a file of candidates that an evaluation reads."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from trainer.evaluation.load import STAGE_FILE
from trainer.feedback.pass_count import PassCount
from trainer.feedback.sample import Sample


def write_candidates(
    folder: Path, samples: Mapping[str, Sequence[Sample]], passes: Iterable[PassCount]
) -> None:
    """Write a line for each problem that has labelled samples, in the order of the samples.

    Args:
        samples: of each problem, by the problem's id.
    """
    found = {each.sample: each for each in passes}
    with (folder / STAGE_FILE).open("w", encoding="utf-8") as stream:
        for problem, own in samples.items():
            labelled = [(sample, found[sample.id]) for sample in own if sample.id in found]
            # Samples of several policies may have been asked in other words: a line for each.
            for prompt in dict.fromkeys(sample.prompt for sample, _ in labelled):
                candidates = [
                    {
                        "text": sample.text,
                        "model": sample.sampler.model,
                        "correct": count.passed == count.total,
                        "passed": count.passed,
                        "total": count.total,
                    }
                    for sample, count in labelled
                    if sample.prompt == prompt
                ]
                row = {"id": problem, "prompt": prompt, "candidates": candidates}
                stream.write(json.dumps(row) + "\n")
