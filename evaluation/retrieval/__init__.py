"""How well features retrieve images of the same or similar classes."""
