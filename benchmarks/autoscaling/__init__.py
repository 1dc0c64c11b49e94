"""Which signal to scale on: a recorded trace replayed to simulated replicas."""
