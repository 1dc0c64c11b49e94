"""Engines compute scores from token ids, behind one protocol."""
