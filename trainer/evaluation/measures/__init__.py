"""Compute figures with their intervals from scores, each beside its baselines."""
