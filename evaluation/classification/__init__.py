"""Evaluation of classification."""
