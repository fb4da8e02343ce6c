"""Loss functions on backend tensors; they return one value per sample."""

import numpy as np
from keras import KerasTensor, ops

SMALLEST_PROBABILITY = 1e-7


def negative_correlation(targets: KerasTensor, embeddings: KerasTensor) -> KerasTensor:
    """Return 1 minus the dot product of the embedding and the class embedding, shape (batch,).

    With both of unit length this is the cosine loss (paper, equation (4)), in [0, 2].
    """
    return 1 - ops.sum(targets * embeddings, axis=-1)


def squared_distance(targets: KerasTensor, embeddings: KerasTensor) -> KerasTensor:
    """Return the SUM of the squared differences over all dimensions, shape (batch,).

    Keras' mean squared error averages over the dimensions: for 100 dimensions it is 100 times
    smaller and would need other learning rates.
    """
    return ops.sum(ops.square(embeddings - targets), axis=-1)


def mean_squared_difference(targets: KerasTensor, embeddings: KerasTensor) -> KerasTensor:
    """Return the MEAN of the squared differences over all dimensions, shape (batch,).

    The default loss of the Deep Simplex Classifier (https://arxiv.org/abs/2212.11747).
    """
    return ops.mean(ops.square(embeddings - targets), axis=-1)


def hinged_distance(targets: KerasTensor, embeddings: KerasTensor, margin: float) -> KerasTensor:
    """Return a quarter of the amount by which the squared distance exceeds the margin, (batch,)."""
    return ops.relu(squared_distance(targets, embeddings) - margin) / 4


def similarity_cross_entropy(
    targets: KerasTensor, embeddings: KerasTensor, class_vectors: np.ndarray
) -> KerasTensor:
    """Return the cross-entropy of the dot products with all class vectors, shape (batch,).

    As in the published code, which averages over the classes of the one-hot target, the
    cross-entropy is divided by the number of classes.

    Args:
        targets: class vectors of the samples, (batch, dimensions).
        embeddings: (batch, dimensions).
        class_vectors: (classes, dimensions).
    """
    logits = ops.matmul(embeddings, class_vectors.T)
    own = ops.sum(targets * embeddings, axis=-1)
    return (ops.logsumexp(logits, axis=-1) - own) / len(class_vectors)


def distance_margins(
    targets: KerasTensor, embeddings: KerasTensor, class_vectors: np.ndarray, margin: float
) -> KerasTensor:
    """Return half the mean squared difference plus half the mean hinge of all other classes.

    The hinge of a class is relu(margin + d_true - d_class), where d are squared distances to class
    vectors. Shape (batch,); the first two of the three terms of the open-set loss.

    Args:
        targets: class vectors of the samples, (batch, dimensions).
        embeddings: (batch, dimensions).
        class_vectors: (classes, dimensions).
        margin: least difference of squared distances.
    """
    # The squared norm of the embedding is left out: it cancels in differences of distances.
    closeness = 2 * ops.matmul(embeddings, class_vectors.T) - np.square(class_vectors).sum(axis=1)
    own = ops.sum((2 * embeddings - targets) * targets, axis=-1, keepdims=True)
    hinges = ops.sum(ops.relu(margin + closeness - own), axis=-1)
    others = hinges - margin  # the hinge of the true class
    intra = mean_squared_difference(targets, embeddings) / 2
    return intra + others / (2 * len(class_vectors))


def background_margins(
    targets: KerasTensor, embeddings: KerasTensor, known: KerasTensor, margin: float
) -> KerasTensor:
    """Return, for each known image, half the mean hinge over all background images, (batch,).

    The hinge is relu(margin + d_known - d_background), where d are squared distances to the class
    vector of the known image: the third term of the open-set loss. Values in the rows of background
    images are meaningless.

    Args:
        targets: class vectors of the samples, (batch, dimensions).
        embeddings: (batch, dimensions).
        known: bool (batch,), False for background images.
        margin: least difference of squared distances.
    """
    own = squared_distance(targets, embeddings)
    norms = ops.sum(ops.square(embeddings), axis=-1)
    products = ops.matmul(targets, ops.transpose(embeddings))
    distances = norms - 2 * products + ops.sum(ops.square(targets), axis=-1, keepdims=True)
    hinges = ops.relu(margin + ops.expand_dims(own, -1) - distances)
    background = ops.cast(ops.logical_not(known), embeddings.dtype)
    return ops.sum(hinges * background, axis=-1) / (2 * ops.maximum(ops.sum(background), 1))


def cross_entropy(targets: KerasTensor, probabilities: KerasTensor) -> KerasTensor:
    """Return the cross-entropy of softmax probabilities (paper, equation (6)), shape (batch,).

    Probabilities are clipped to [1e-7, 1 - 1e-7] as in Keras 2: no loss exceeds 16.1, and at that
    limit there is no gradient. Keras 3 clips as well, but under TensorFlow recovers the logits from
    the softmax layer, so its loss depends on the backend.
    """
    clipped = ops.clip(probabilities, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    return -ops.sum(targets * ops.log(clipped), axis=-1)
