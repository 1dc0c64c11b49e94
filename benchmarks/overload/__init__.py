"""What happens at five times the load that a server can take."""
