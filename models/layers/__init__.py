"""Layers that the backbones share, and faster versions of Keras layers."""
