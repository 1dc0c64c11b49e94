"""Figures -> `report.json` and a page with pictures."""
