"""Studies of a size that CPUs can do."""
