"""The checkpoint that training starts from, and the one that it writes."""
