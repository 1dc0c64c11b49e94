"""The reward model itself: what the trainer and the service share."""
