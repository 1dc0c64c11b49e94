"""Accuracy: the share of pairs that are ranked right."""

from trainer.pairs.row import PreferenceRow


def accuracy(differences: list[float]) -> float:
    """Share of pairs ranked right; there must be at least one pair.

    Args:
        differences: chosen less rejected, of the scores or lengths that rank them.
    """
    # A tie is what guessing gets right half of the time.
    return sum((gap > 0) + 0.5 * (gap == 0) for gap in differences) / len(differences)


def longer_is_chosen(rows: list[PreferenceRow]) -> float | None:
    """Accuracy of ranking by length alone; None without pairs."""
    gaps = [float(len(row.chosen) - len(rival.text)) for row in rows for rival in row.rejected]
    return accuracy(gaps) if gaps else None
