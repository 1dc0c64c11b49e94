"""Conversations to token ids: chat template, encoding, special-token safety, truncation, steps."""
