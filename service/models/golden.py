"""Golden replay: a release's own conversations must get the scores that its trainer saw.

They go the way of every request, so what is proven is what is served.
"""

from reward_model.release.manifest import Golden
from reward_model.release.release import GOLDEN, Release
from reward_model.text.chat import Message
from service.scoring.scorer import Scorer
from service.scoring.types import Input, ItemScore, ScoringRequest


class GoldenMismatch(Exception):
    """Some golden score was not reproduced; the message says which, by how much, and what to do."""


async def replay(release: Release, scorer: Scorer) -> None:
    """Score every golden conversation and compare.

    Raises:
        GoldenMismatch: a score differs by more than the release's tolerance, or there is none.
    """
    if not release.golden:
        return
    scored = await scorer.score(ScoringRequest(tuple(_input(golden) for golden in release.golden)))
    faults = [
        f"line {line}: {fault}"
        for line, (golden, item) in enumerate(
            zip(release.golden, scored.items(), strict=True), start=1
        )
        if (fault := _fault(golden, item, release.golden_tolerance))
    ]
    if faults:
        raise GoldenMismatch(
            f"{release.path / GOLDEN}: {len(faults)} of {len(release.golden)} golden scores are "
            f"not reproduced, first {faults[0]}. Serve it as it was published (see --dtype and "
            "--device), or publish it again"
        )


def _input(golden: Golden) -> Input:
    *prompt, answer = golden.messages
    return Input(
        tuple(Message(turn.role, turn.content) for turn in prompt), candidates=(answer.content,)
    )


def _fault(golden: Golden, item: ItemScore, tolerance: float) -> str | None:
    if item.raw is None:
        assert item.error is not None
        return f"expected {golden.score:.6f}, got the error {item.error.code}"
    if abs(item.raw - golden.score) <= tolerance:
        return None
    return f"expected {golden.score:.6f} within {tolerance:g}, got {item.raw:.6f}"
