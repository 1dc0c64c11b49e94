"""Estimates the cost of a recipe before anything runs: arithmetic on configs and data sizes."""
