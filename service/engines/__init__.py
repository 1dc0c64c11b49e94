"""What computes scores from token ids: one protocol and the engines behind it."""
