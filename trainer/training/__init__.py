"""The training runs: batches, losses, the loop, and the stages that use them."""
