"""How it is judged: accuracy of predictions."""
