"""Rows to packed batches, and batches to losses."""
