"""Plots of features: samples as points, and distances between classes."""

PROJECTIONS = ("pca", "tsne")
"""Projections of features to the plane, see ``evaluation.embeddings.plane``."""

METRICS = ("euclidean", "cosine")
"""Distances between class means, see ``evaluation.embeddings.distances``."""
