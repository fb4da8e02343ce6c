"""Training: objective, optimizer, learning-rate schedules, the loop and its files."""
