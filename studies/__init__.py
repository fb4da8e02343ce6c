"""The paper's experiments as data and commands."""
