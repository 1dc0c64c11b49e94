"""What preference-model pretraining buys: the paper's claim at small scale."""
