"""Grids of training runs on Ray: trials, their folder, their processes, tables and plots."""
