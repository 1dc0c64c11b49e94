"""Measure a checkpoint on held-out pairs and on other people's tasks, and calibrate its scores."""
