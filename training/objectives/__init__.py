"""The table of losses, which commands, heads, training and sweeps all read.

A new loss takes one row here and a function in ``training.objectives.losses``. Rows refer to
functions and layers by name, so that listing them does not import Keras.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Loss:
    """A loss with its head and defaults.

    Attributes:
        function: name of a function in ``training.objectives.losses``.
        head: last layer of the network: ``"prob"``, the classifier; a key of
            ``models.heads.NORMALIZATIONS``; or None, the embedding without normalization.
        decision: how the output of that layer is classified, a key of
            ``models.decisions.DECISIONS``.
        title: name in sweeps.
        help: description for ``--help``.
        takes: further arguments of the function, ``"class_vectors"`` (all of them) or ``"margin"``.
        margin: default margin; None: a tenth of the distance between two class vectors.
        scale: default length of generated class vectors; None: the number of classes.
        embedding: class embeddings that sweeps combine it with.
        background: name of the function for the loss term of background images, or None.
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
        function="negative_correlation",
        head=None,
        decision="dot",
        title="unnorm_corr",
        help="cosine loss without normalization",
    ),
    "softmax_corr": Loss(
        function="negative_correlation",
        head="softmax",
        decision="largest",
        title="softmax_corr",
        help="cosine loss with softmax instead of normalization",
    ),
    "dsc": Loss(
        function="mean_squared_difference",
        head=None,
        decision="distance",
        title="dsc",
        help="mean squared difference; all dsc losses are those of the Deep Simplex Classifier",
        scale=1000.0,
        embedding="simplex",
    ),
    "dsc_hinge": Loss(
        function="hinged_distance",
        head=None,
        decision="distance",
        title="dsc_hinge",
        help="a quarter of the squared distance beyond a margin",
        takes=("margin",),
        scale=5.0,
        embedding="simplex",
    ),
    "dsc_softmax": Loss(
        function="similarity_cross_entropy",
        head=None,
        decision="distance",
        title="dsc_softmax",
        help="cross-entropy of the dot products with all class embeddings, divided by their number",
        takes=("class_vectors",),
        scale=5.0,
        embedding="simplex",
    ),
    "dsc_open": Loss(
        function="distance_margins",
        head=None,
        decision="distance",
        title="dsc_open",
        help="squared distance, plus margins between the distances to the true and all other "
        "classes",
        takes=("class_vectors", "margin"),
        margin=48.0,
        scale=None,
        embedding="simplex",
        background="background_margins",
    ),
    "xent": Loss("cross_entropy", "prob", "output", "xent", "cross-entropy of a classifier"),
}

EMBEDDING_LOSSES = {name: loss for name, loss in LOSSES.items() if loss.head != "prob"}
"""The losses between embeddings and class embeddings."""

DEFAULT_LOSS = "inv_corr"

MIXED_TARGETS = {
    "loss": "the losses of both classes, weighted by their shares",
    "normalized": "the loss for the weighted sum of both class embeddings, scaled to their length",
}
"""What is minimized for images mixed from two."""


def takes_normalized(loss: Loss) -> bool:
    """Return whether the targets of a loss may be vectors other than class embeddings."""
    return loss.head != "prob" and "class_vectors" not in loss.takes
