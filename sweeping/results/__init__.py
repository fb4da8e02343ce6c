"""What came out of a grid: states of the trials, tables, plots."""
