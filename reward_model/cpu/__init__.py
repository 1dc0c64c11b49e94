"""Faster layers for inference on a CPU; nothing else needs this room."""
