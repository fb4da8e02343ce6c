"""Image files: decoding, resizing, preprocessing, augmentation, color statistics."""
