"""What is minimized: losses, metrics, objectives."""
