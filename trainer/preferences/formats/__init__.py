"""One file for each format of preference data."""
