"""The reward model itself: everything that the trainer and the service must do alike."""
