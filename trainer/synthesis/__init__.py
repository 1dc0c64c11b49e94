"""Pairs by language models: code described, and a strong and a weak model's answers to that."""
