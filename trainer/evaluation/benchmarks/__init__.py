"""Other people's benchmarks, read from a local copy of their files."""
