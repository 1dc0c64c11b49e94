"""Which split a group belongs to. A group is a package, a repository, a problem."""

import hashlib
from typing import Protocol


class Shares(Protocol):
    """How much of all groups is held out; a stage's config has both."""

    @property
    def evaluation_share(self) -> float: ...

    @property
    def calibration_share(self) -> float: ...


def split_of(group: str, shares: Shares) -> str:
    """Where a group belongs: decided by its name alone, so that it never changes sides."""
    point = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 16**8
    if point < shares.evaluation_share:
        return "evaluation"
    if point < shares.evaluation_share + shares.calibration_share:
        return "calibration"
    return "train"
