"""Checkpoints, texts and requests that programs measure with."""
