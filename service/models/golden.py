"""Golden replay: a release's own conversations must get the scores that its trainer saw.

They are scored through the scorer that serves every request, so what is proven is what is served.
"""

from reward_model.release.release import GOLDEN, Release
from service.scoring.scorer import Scorer
from service.scoring.types import Chat, ScoringRequest


class GoldenMismatch(Exception):
    """A golden score was not reproduced; the message says which, by how much, and what to do."""


async def replay(release: Release, scorer: Scorer) -> None:
    """Score every golden conversation and compare.

    Raises:
        GoldenMismatch: a score differs by more than the release's tolerance, or is missing.
    """
    if not release.golden:
        return
    conversations = tuple((Chat(golden.messages),) for golden in release.golden)
    scored = await scorer.score(ScoringRequest(conversations))
    faults = []
    for line, (golden, item) in enumerate(
        zip(release.golden, scored.items(), strict=True), start=1
    ):
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
