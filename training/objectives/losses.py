"""Loss functions of backend tensors; one value per sample."""

from keras import KerasTensor, ops

SMALLEST_PROBABILITY = 1e-7


def negative_correlation(targets: KerasTensor, embeddings: KerasTensor) -> KerasTensor:
    """Return 1 minus the dot product of the embedding and the class embedding, shape (batch,).

    With both of unit length this is the cosine loss (paper, equation (4)), in [0, 2].
    """
    return 1 - ops.sum(targets * embeddings, axis=-1)


def squared_distance(targets: KerasTensor, embeddings: KerasTensor) -> KerasTensor:
    """Return the SUM of the squared differences over all dimensions, shape (batch,).

    Keras' own mean squared error is the mean over the dimensions: 100 times less for 100 classes,
    at which learning rates mean something else.
    """
    return ops.sum(ops.square(embeddings - targets), axis=-1)


def cross_entropy(targets: KerasTensor, probabilities: KerasTensor) -> KerasTensor:
    """Return the cross-entropy of softmax probabilities (paper, equation (2)), shape (batch,).

    Probabilities are clipped to [1e-7, 1 - 1e-7], as in Keras 2: no sample costs more than 16.1,
    and one that is hopelessly wrong has no gradient. Keras 3 clips as well, but under TensorFlow
    looks behind the softmax for the logits, so that its loss would depend on the backend.
    """
    clipped = ops.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return -ops.sum(targets * ops.log(clipped), axis=-1)
