"""The exact snapshot: its file, when it is written, and resuming from it."""
