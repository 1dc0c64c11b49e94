"""Preference optimization of policies on packed trees, and what a policy is worth."""
