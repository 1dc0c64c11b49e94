"""The training loop: optimizers, schedule, checkpoints, logging, several processes."""
