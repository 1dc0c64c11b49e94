"""A server under five times the load that it can take."""
