"""Preference data of other makers -> pairs; and what is wrong with pairs before training starts."""
