"""The hold-out of one repository: a file, under all names that it ever had, is on one side.

By file and not by time: mutants of today's functions are trained on as well, and beside newer
commits they would show the answers of older ones.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping

from trainer.pairs.split import HoldOut

# A file with more of all rows than this is never held out, however few others there are.
_MAX_SHARE = 0.5
_MIN_GROUPS = 3


class FileNames:
    """The newest path of each file, by the renames in the history."""

    def __init__(self) -> None:
        self._newer: dict[str, str] = {}

    def rename(self, before: str, after: str) -> None:
        """Note a rename; commits come newest first, so the newest name is known before."""
        old, new = self.last(before), self.last(after)
        if old != new:
            self._newer[old] = new

    def last(self, path: str) -> str:
        """The newest name."""
        while path in self._newer:
            path = self._newer[path]
        return path


def divide(
    rows: Mapping[str, int], functions: Mapping[str, int], config: HoldOut
) -> dict[str, str]:
    """The split of each file, so that the held-out splits get their shares of the rows.

    Files are taken in the order of their hashes, as for packages; but there are few of them, and a
    share of files may be no row at all.

    Args:
        rows: rows from history by file; what is divided, if at least three files have any.
        functions: functions of today's files, which are divided otherwise.
    """
    by_rows = len(rows) >= _MIN_GROUPS
    sizes = Counter(rows if by_rows else functions)
    total = sizes.total()
    order = sorted(sizes, key=lambda name: hashlib.sha256(name.encode()).digest())
    splits: dict[str, str] = {}
    shares = {"evaluation": config.evaluation_share, "calibration": config.calibration_share}
    for split, share in shares.items():
        wanted, taken = share * total, 0
        left = [name for name in order if name not in splits and sizes[name] <= _MAX_SHARE * total]
        for name in left:
            # One large file must not become most of a held-out split, if smaller ones will do.
            if taken < wanted and taken + sizes[name] <= 1.5 * wanted:
                splits[name] = split
                taken += sizes[name]
        if not taken and share and len(order) - len(splits) >= 2 and left:
            splits[min(left, key=lambda name: sizes[name])] = split
    for name in functions if by_rows else rows:
        if name not in sizes:
            splits[name] = config.split_of(name)
    return {name: splits.get(name, "train") for name in (*rows, *functions)}
