"""Taxonomies: trees, their files and drawings, class embeddings from them."""
