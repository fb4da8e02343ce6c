"""Recipes beyond the paper, and the search for the best."""
