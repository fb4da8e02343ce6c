"""Studies as data: a folder per subject, a file per study."""
