"""Reports for people: finished runs as one self-contained HTML file."""
