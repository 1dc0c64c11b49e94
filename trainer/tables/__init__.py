"""Rows of other people's files: JSON, JSON Lines, Parquet, and what `datasets` opens."""
