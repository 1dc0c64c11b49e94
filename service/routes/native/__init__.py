"""The service's own dialect: `POST /v1/score`."""
