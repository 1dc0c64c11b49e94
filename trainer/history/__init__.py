"""A git repository's history to preference pairs: the function after a commit over that before."""
