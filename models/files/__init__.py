"""Files of models: saved models with their description, weights by name, exports."""
