"""Grids of training runs: what is run, where its results are, who runs it, what comes out."""
