"""A day on a GPU: all that only a GPU can tell, by one program for a machine lent for minutes."""
