"""What training starts from, and what it writes."""
