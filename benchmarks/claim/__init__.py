"""The study of the paper's claim at small scale: the gain of preference-model pretraining."""
