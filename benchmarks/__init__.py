"""Programs that print the figures this project states. See README.md."""
