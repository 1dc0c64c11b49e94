"""Golden replay: a release's own conversations must get the scores that its trainer saw.

They are scored through the scorer that serves every request, so what is proven is what is served.
"""

import logging
from statistics import pstdev

from reward_model.release.release import GOLDEN, Release
from service.scoring.criteria import default_weights
from service.scoring.scorer import Scorer
from service.scoring.types import Chat, ItemScore, ScoringRequest


class GoldenMismatch(Exception):
    """A golden score was not reproduced; the message says which, by how much, and what to do."""


# Conversations that are scored at a time, so that thousands of them need little memory.
_PART = 256

# Share of the golden scores' own spread by which a format with fewer digits may move them. Where it
# moves them further, as under SmolLM2 with a random head, too many candidates change places.
_ROUNDED = 0.1

_log = logging.getLogger(__name__)


async def replay(release: Release, scorer: Scorer, dtype: str) -> None:
    """Score every golden conversation and compare.

    Their priority is bulk, so that encoding them holds up no request to a model that serves.

    Args:
        dtype: what the engine computes in. Where that has fewer digits than what the release was
            published in, because somebody chose so, scores may be further off, and the log says
            how far they are.

    Raises:
        GoldenMismatch: a score differs by more than the release's tolerance, or is missing.
    """
    tolerance = release.golden_tolerance
    rounded = bool(release.golden) and release.dtype == "float32" != dtype
    spread = pstdev(golden.score for golden in release.golden) if rounded else 0.0
    if rounded:
        tolerance = max(tolerance, _ROUNDED * spread)
    faults, gaps, items = [], [0.0], list[ItemScore]()
    # A golden conversation holds the prompt of its criterion, if it has one. A head of several
    # labels has golden scores of the release's own weights, whatever the operator prefers.
    weights = default_weights(release) if release.labels > 1 else {}
    for start in range(0, len(release.golden), _PART):
        part = release.golden[start : start + _PART]
        conversations = tuple((Chat.of(golden.messages, golden.inputs),) for golden in part)
        asked = ScoringRequest(conversations, priority="bulk", criteria=weights)
        items += (await scorer.score(asked)).items()
    for line, (golden, item) in enumerate(zip(release.golden, items, strict=True), start=1):
        expected = f"line {line}: expected {golden.score:.6f}"
        if item.raw is None:
            assert item.error is not None
            faults.append(f"{expected}, got the error {item.error.code}")
        else:
            gaps.append(abs(item.raw - golden.score))
            if gaps[-1] > tolerance:
                faults.append(f"{expected} within {tolerance:g}, got {item.raw:.6f}")
    if faults:
        raise GoldenMismatch(
            f"{release.folder / GOLDEN}: {len(faults)} of {len(release.golden)} golden scores are "
            f"not reproduced, first {faults[0]}. Serve the release as it was published (see "
            "--dtype and --device), or publish it again."
        )
    if rounded:
        _log.warning(
            "%s: computed in %s and published in float32: golden scores, whose deviation is %.2g, "
            "are up to %.2g off, and close candidates may change places. --dtype float32 is exact",
            release.name,
            dtype,
            spread,
            max(gaps),
        )
