"""Taxonomies: trees, their files and drawings, and class embeddings computed from them."""
