"""How well pairs are ranked."""


def accuracy(differences: list[float]) -> float:
    """Share of pairs ranked right, ties half; there must be some.

    Args:
        differences: chosen less rejected, in whatever ranks them: scores, lengths.
    """
    return sum((gap > 0) + 0.5 * (gap == 0) for gap in differences) / len(differences)
