"""Layers that the backbones share, and faster twins of Keras' own."""
