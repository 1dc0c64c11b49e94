"""Attention over a packed prefix tree, and the kernels that compute it."""
