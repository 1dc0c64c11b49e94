"""The hold-out: which split a group belongs to. A group is a package, a repository, a problem."""

import hashlib
from dataclasses import dataclass

from trainer.pipeline.stage import StageError


@dataclass(frozen=True, kw_only=True)
class HoldOut:
    """How rows are held out and stored; the config of every stage of pairs is one of these.

    Attributes:
        evaluation_share, calibration_share: shares of the groups that are held out whole. Stages
            with the same shares hold out the same groups.
        max_held_out: rows in each held-out split; None keeps all.
        rows_per_shard: rows in one file.
    """

    evaluation_share: float = 0.10
    calibration_share: float = 0.03
    max_held_out: int | None = 1500
    rows_per_shard: int = 10_000

    def __post_init__(self) -> None:
        """Raise StageError for what is no share."""
        for name in ("evaluation_share", "calibration_share"):
            if not 0 <= (share := getattr(self, name)) <= 1:
                raise StageError(f"{name} is {share}: it must be from 0 to 1")

    def split_of(self, group: str) -> str:
        """The split of a group, which depends on its name alone, so that it never changes sides."""
        # 32 bits of the hash as a number from 0 to 1.
        point = int(hashlib.sha256(group.encode()).hexdigest()[:8], 16) / 16**8
        if point < self.evaluation_share:
            return "evaluation"
        if point < self.evaluation_share + self.calibration_share:
            return "calibration"
        return "train"

    def is_full(self, split: str, rows: int) -> bool:
        """Whether a split that has this many rows takes no more."""
        return split != "train" and self.max_held_out is not None and rows >= self.max_held_out
