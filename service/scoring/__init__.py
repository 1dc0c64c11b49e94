"""A scoring request's way from texts to scores."""
