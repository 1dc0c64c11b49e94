"""Publish a checkpoint as a release that can be verified, and push it where it is served from."""
