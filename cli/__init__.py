"""The command line: options by topic, errors and signals."""
