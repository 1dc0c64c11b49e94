"""Checks of pairs, tokenizer and model before training starts."""
