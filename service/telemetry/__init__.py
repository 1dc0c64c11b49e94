"""One record for each request, and three views of it: log, metrics and traces."""
