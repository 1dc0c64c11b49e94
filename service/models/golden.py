"""Golden replay: a release's own conversations must get the scores that its trainer saw.

They are scored through the scorer that serves every request, so what is proven is what is served.
"""

from reward_model.release.release import GOLDEN, Release
from service.scoring.scorer import Scorer
from service.scoring.types import Chat, ItemScore, ScoringRequest


class GoldenMismatch(Exception):
    """A golden score was not reproduced; the message says which, by how much, and what to do."""


# Conversations that are scored at a time, so that thousands of them need little memory.
_PART = 256


async def replay(release: Release, scorer: Scorer) -> None:
    """Score every golden conversation and compare.

    Their priority is bulk, so that encoding them holds up no request to a model that serves.

    Raises:
        GoldenMismatch: a score differs by more than the release's tolerance, or is missing.
    """
    faults, items = [], list[ItemScore]()
    for start in range(0, len(release.golden), _PART):
        part = release.golden[start : start + _PART]
        conversations = tuple((Chat.of(golden.messages, golden.inputs),) for golden in part)
        items += (await scorer.score(ScoringRequest(conversations, priority="bulk"))).items()
    for line, (golden, item) in enumerate(zip(release.golden, items, strict=True), start=1):
        expected = f"line {line}: expected {golden.score:.6f}"
        if item.raw is None:
            assert item.error is not None
            faults.append(f"{expected}, got the error {item.error.code}")
        elif abs(item.raw - golden.score) > release.golden_tolerance:
            tolerance = f"within {release.golden_tolerance:g}"
            faults.append(f"{expected} {tolerance}, got {item.raw:.6f}")
    if faults:
        raise GoldenMismatch(
            f"{release.path / GOLDEN}: {len(faults)} of {len(release.golden)} golden scores are "
            f"not reproduced, first {faults[0]}. Serve the release as it was published (see "
            "--dtype and --device), or publish it again."
        )
