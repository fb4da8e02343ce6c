"""Studies of simplex targets and of open sets."""
