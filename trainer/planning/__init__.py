"""What a recipe will cost, before anything runs: arithmetic on configs and data sizes."""
