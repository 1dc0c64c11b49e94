"""Whether a rolling update under load loses requests."""
