"""Open-set recognition: images of classes that a model was not trained on."""
