"""What can be minimized: the one table that commands, heads, training and sweeps read.

A new loss takes one row here and its function in ``training.objectives.losses``. The rows name
functions and layers, so that listing them does not import Keras.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Loss:
    """A loss and what belongs to it.

    Attributes:
        function: name of the function in ``training.objectives.losses``.
        head: layer that the network ends in: ``"prob"``, the classifier; a key of
            ``models.heads.NORMALIZATIONS``; None: the embedding as it is.
        decision: how classes follow from that layer, a key of ``models.decisions.DECISIONS``.
        title: what sweeps call it.
        help: what it is, for ``--help``.
    """

    function: str
    head: str | None
    decision: str
    title: str
    help: str


LOSSES = {
    "mse": Loss("squared_distance", None, "distance", "mse", "squared Euclidean distance"),
    "inv_corr": Loss("negative_correlation", "l2norm", "dot", "cosine", "cosine loss"),
    "unnorm_corr": Loss(
        *("negative_correlation", None, "dot", "unnorm_corr", "cosine loss without normalization")
    ),
    "softmax_corr": Loss(
        *("negative_correlation", "softmax", "largest", "softmax_corr"),
        "cosine loss with softmax instead of normalization",
    ),
    "xent": Loss("cross_entropy", "prob", "output", "xent", "cross-entropy of a classifier"),
}

EMBEDDING_LOSSES = {name: loss for name, loss in LOSSES.items() if loss.head != "prob"}
"""The losses that compare embeddings with class embeddings."""

DEFAULT_LOSS = "inv_corr"
