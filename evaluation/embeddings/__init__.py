"""Pictures of features: where samples lie, and how far classes are from each other."""

PROJECTIONS = ("pca", "tsne")
"""How features of more than two dimensions are drawn, see ``evaluation.embeddings.plane``."""

METRICS = ("euclidean", "cosine")
"""Distances of class means, see ``evaluation.embeddings.distances``."""
