"""Convert other people's preference data into pairs, and check pairs before training starts."""
