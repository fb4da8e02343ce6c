"""Taxonomies: trees, their files and drawings, class vectors from them."""
