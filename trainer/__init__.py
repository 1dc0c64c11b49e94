"""The offline trainer: source code and preference data in, a reward-model release out."""
