"""Sweep results: states of the trials, tables, plots."""
