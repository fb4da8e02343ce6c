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
        takes: what the function needs besides targets and outputs: ``"class_vectors"`` of all
            classes, a ``"margin"``.
        margin: its default; None: a tenth of the distance of two class vectors.
        scale: default length of generated class vectors; None: the number of classes.
        embedding: class embeddings that sweeps combine it with.
        background: name of the function of what background images add, or None.
    """

    function: str
    head: str | None
    decision: str
    title: str
    help: str
    takes: tuple[str, ...] = ()
    margin: float | None = None
    scale: float | None = 1.0
    embedding: str = "onehot"
    background: str | None = None


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
    "dsc": Loss(
        *("mean_squared_difference", None, "distance", "dsc"),
        "mean squared difference, of the Deep Simplex Classifier like all dsc losses",
        **{"scale": 1000.0, "embedding": "simplex"},
    ),
    "dsc_hinge": Loss(
        *("hinged_distance", None, "distance", "dsc_hinge"),
        "a quarter of the squared distance beyond a margin",
        **{"takes": ("margin",), "scale": 5.0, "embedding": "simplex"},
    ),
    "dsc_softmax": Loss(
        *("similarity_cross_entropy", None, "distance", "dsc_softmax"),
        "cross-entropy of the dot products with all class embeddings, divided by their number",
        **{"takes": ("class_vectors",), "scale": 5.0, "embedding": "simplex"},
    ),
    "dsc_open": Loss(
        *("distance_margins", None, "distance", "dsc_open"),
        "squared distance, and margins to the distances from all other classes",
        **{"takes": ("class_vectors", "margin"), "margin": 48.0, "scale": None},
        **{"embedding": "simplex", "background": "background_margins"},
    ),
    "xent": Loss("cross_entropy", "prob", "output", "xent", "cross-entropy of a classifier"),
}

EMBEDDING_LOSSES = {name: loss for name, loss in LOSSES.items() if loss.head != "prob"}
"""The losses that compare embeddings with class embeddings."""

DEFAULT_LOSS = "inv_corr"

MIXED_TARGETS = {
    "loss": "the losses of both classes, weighted by their shares",
    "normalized": "the loss of the weighted sum of both class embeddings, of their length",
}
"""What is minimized where two images are mixed in each."""


def takes_normalized(loss: Loss) -> bool:
    """Return whether the targets of a loss may be other vectors than class embeddings."""
    return loss.head != "prob" and "class_vectors" not in loss.takes
