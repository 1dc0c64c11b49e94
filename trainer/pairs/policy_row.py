"""Pairs of a policy's own answers by their exact token ids, for preference optimization."""

from dataclasses import dataclass, replace
from pathlib import Path

from trainer.pipeline.shards import read_shards

STEM = "policy"


@dataclass(frozen=True)
class PolicyAnswer:
    """An answer of the policy.

    Attributes:
        id: id of the sample.
        token_ids: exact ids as sampled, the end token included if it was sampled; empty where they
            are not known, and then the text is encoded.
        log_probs: of each of `token_ids` under the sampler; empty where they are not known.
        value: share of tests passed.
    """

    id: str
    text: str
    token_ids: tuple[int, ...] = ()
    log_probs: tuple[float, ...] = ()
    value: float = 0.0


@dataclass(frozen=True)
class PolicyRow:
    """A problem's chosen answer against its rejected ones.

    Attributes:
        group: the problem, unit of hold-out and of resampling.
        prompt: the user's message.
        prompt_ids: exact ids of everything before the answer, the template included; empty where
            they are not known.
        ends: whether the answers are whole and end with the end token; a process pair's are
            prefixes, which go on.
        source: how the pair came about, such as `round 1`.
        sampler: sha256 of the sampling policy's weights; empty where they are not known.
        template: sha256 of its chat template; empty where it is not known.
    """

    id: str
    group: str
    prompt: str
    chosen: PolicyAnswer
    rejected: tuple[PolicyAnswer, ...]
    prompt_ids: tuple[int, ...] = ()
    ends: bool = True
    source: str = ""
    sampler: str = ""
    template: str = ""


def read_policy_rows(folder: Path) -> list[PolicyRow]:
    """All policy rows of a finished stage."""
    return read_shards(folder, STEM, PolicyRow)


def swapped_sides(row: PolicyRow) -> list[PolicyRow]:
    """The pairs of a row the wrong way round: each rejected answer over the chosen one."""
    return [
        replace(row, id=f"{row.id} swapped {number}", chosen=answer, rejected=(row.chosen,))
        for number, answer in enumerate(row.rejected)
    ]
