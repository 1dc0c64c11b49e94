"""Samples of a policy with their provenance."""

from dataclasses import dataclass
from pathlib import Path

from trainer.pipeline.shards import read_shards

STEM = "samples"


@dataclass(frozen=True)
class Sampler:
    """The policy that wrote a sample, and how it sampled.

    Attributes:
        model: the name by which it was asked.
        weights: sha256 over the files of its weights; empty where they are not known.
        template: sha256 of its chat template; empty where it is not known.
    """

    model: str
    weights: str = ""
    template: str = ""
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True)
class Sample:
    """One answer of a policy to a problem.

    Attributes:
        id: id of its request, the same in every run.
        number: which of a problem's samples it is.
        prompt: the user's message.
        finish_reason: "length" if the limit of tokens cut it short.
        seed: with which it was drawn; None if the endpoint chose.
        prompt_ids, token_ids: exact token ids; empty where the server gives none.
        log_probs: of each of `token_ids` under the sampler; empty where the server gives none.
        prefix: id of the prefix that its text begins with and that was completed; empty for an
            answer that was written from its beginning.
    """

    id: str
    problem: str
    number: int
    prompt: str
    text: str
    finish_reason: str
    sampler: Sampler
    seed: int | None = None
    prompt_ids: tuple[int, ...] = ()
    token_ids: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    prefix: str = ""


def read_samples(folder: Path) -> list[Sample]:
    """All samples of a finished stage."""
    return read_shards(folder, STEM, Sample)
