"""The release directory: checkpoint, manifest, calibration, adapters, and where they come from."""
