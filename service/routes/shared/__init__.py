"""Parts that the dialects share: routing, scoring, body types and error shapes."""
