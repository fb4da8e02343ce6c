"""How a network is judged and used: accuracy, retrieval, predictions, pictures."""
