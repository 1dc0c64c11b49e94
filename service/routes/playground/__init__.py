"""The playground: a static page on which people try the served models in a browser."""
