"""How it is learned: objective, learning-rate schedules, the training run and what it leaves."""
