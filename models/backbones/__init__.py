"""The backbones: one family per file, variants as tables."""
