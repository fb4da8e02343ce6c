"""Preprocessing and augmentation: parameters are drawn first, then pixels are computed."""
