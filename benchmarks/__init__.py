"""Programs that measure what this project states; each prints and writes a dated page."""
