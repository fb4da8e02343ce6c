"""Is anything lost, leaked or misread: faults, kills, long runs and damaged files."""
