"""Callbacks: the epoch log, TensorBoard, garbage collection."""
