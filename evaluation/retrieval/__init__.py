"""Evaluation of features by retrieval: images of the same or similar classes."""
