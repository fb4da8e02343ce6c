"""Evaluation and use of networks: accuracy, retrieval, features, predictions."""
