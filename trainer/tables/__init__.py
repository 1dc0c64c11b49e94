"""Rows of other people's tables: JSON Lines, JSON arrays, Parquet, and data sets of `datasets`."""
