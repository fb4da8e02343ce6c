"""Callbacks: validation, epoch log, TensorBoard, early stopping, moving averages and more."""
