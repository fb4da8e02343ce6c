"""Plots of features: samples as points, and distances between classes."""

PROJECTIONS = ("pca", "tsne")
"""How features of more than two dimensions are drawn, see ``evaluation.embeddings.plane``."""

METRICS = ("euclidean", "cosine")
"""Distances of class means, see ``evaluation.embeddings.distances``."""
