"""Readers of problems: one file for each public format."""
