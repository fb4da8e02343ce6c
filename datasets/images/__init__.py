"""Images: their files, their colors, data sets of them, and what is computed from their pixels."""
