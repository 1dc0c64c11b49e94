"""Scores -> figures with intervals, beside what they must beat."""
