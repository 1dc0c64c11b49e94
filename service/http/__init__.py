"""From a socket to a route, and errors back; knows no model."""
