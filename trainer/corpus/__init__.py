"""Source code -> snippets: what is read, what is kept and why, and where each one came from."""
