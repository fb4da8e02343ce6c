"""Saved models, their description, weights by name, export."""
