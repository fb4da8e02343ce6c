"""Evaluating and using networks: accuracy, retrieval, open sets, features, predictions."""
