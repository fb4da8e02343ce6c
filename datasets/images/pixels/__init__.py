"""What is computed on pixels, as by Pillow: by compiled loops, or by Pillow itself."""
