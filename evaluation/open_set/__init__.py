"""Open-set recognition: images of classes that a model was not trained on."""

SCORES = ("probability", "logit", "similarity", "distance", "knn")
"""Scores of images, see ``evaluation.open_set.scores``."""
