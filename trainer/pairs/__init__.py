"""Preference pairs made of source code: requests, with chosen and rejected answers."""
