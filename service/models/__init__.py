"""Which models are loaded, how they are proven, and how they are swapped."""
