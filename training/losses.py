"""Losses on embeddings; each takes and returns backend tensors, one value per sample."""

from keras import KerasTensor, ops


def negative_correlation(targets: KerasTensor, embeddings: KerasTensor) -> KerasTensor:
    """1 minus the dot product of the embedding and the class embedding, shape (batch,).

    With both of unit length this is the cosine loss (paper, equation (4)), in [0, 2].
    """
    return 1 - ops.sum(targets * embeddings, axis=-1)


def squared_distance(targets: KerasTensor, embeddings: KerasTensor) -> KerasTensor:
    """The SUM of the squared differences over all dimensions, shape (batch,).

    Keras' own mean squared error is the mean over the dimensions: 100 times less for 100 classes,
    at which learning rates mean something else.
    """
    return ops.sum(ops.square(embeddings - targets), axis=-1)
