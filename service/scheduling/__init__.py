"""Which job runs when; knows neither torch nor HTTP."""
