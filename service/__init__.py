"""The HTTP service: requests in, scores out."""
