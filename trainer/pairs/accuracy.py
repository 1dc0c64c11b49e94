"""How well pairs are ranked."""

from trainer.pairs.row import PreferenceRow


def accuracy(differences: list[float]) -> float:
    """Share of pairs ranked right, ties half; there must be some.

    Args:
        differences: chosen less rejected, in whatever ranks them: scores, lengths.
    """
    return sum((gap > 0) + 0.5 * (gap == 0) for gap in differences) / len(differences)


def longer_is_chosen(rows: list[PreferenceRow]) -> float | None:
    """Share of pairs in which it is, ties half: the accuracy of length alone."""
    gaps = [float(len(row.chosen) - len(rival.text)) for row in rows for rival in row.rejected]
    return accuracy(gaps) if gaps else None
