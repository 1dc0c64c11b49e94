"""What the dialects share: body types, error shapes, and the call to the scorer."""
