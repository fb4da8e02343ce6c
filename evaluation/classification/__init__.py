"""How well a model classifies."""
