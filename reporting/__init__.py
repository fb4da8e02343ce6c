"""Reports on finished runs, as one self-contained HTML file."""
