"""One reader per source of images or documents."""
