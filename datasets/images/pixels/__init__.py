"""What is computed on pixels, bit-identical to Pillow: by compiled loops, or by Pillow itself."""
