"""Verification: whether two images show the same person."""
