"""Model files: saved models with their description, weights by layer name, exports."""
