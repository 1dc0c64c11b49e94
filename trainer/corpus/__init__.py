"""CodeSource code in: what is read, what is kept of it and why, and where every piece came from."""
