"""HTTP in, scores out. Knows `reward_model`, never `trainer`."""
