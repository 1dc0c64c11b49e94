"""A checkpoint becomes a release: calibrated, described, signed by its hashes."""
