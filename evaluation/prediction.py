"""A saved model as a classifier: from images to classes and scores."""

import keras
import numpy as np
from keras import KerasTensor, layers, ops

from models.decisions import DECISIONS
from models.files.description import ModelDescription, Output
from utils import UserError, unknown_name

PROBABILITY = "probability"
COSINE = "cosine similarity"
DOT = "dot product"
DISTANCE = "negative squared distance"


class Classifier:
    """Classifies images by one output of a network.

    Args:
        model: the network, as ``models.files.saved.load_model`` returns it.
        description: what it takes to classify with it.
        output: name of the output to use; the one that classifies by default.
        jit_compile: whether to compile the network.

    Raises:
        UsageError: the network has no such output.

    Attributes:
        output: the description of the output in use.
        score_kind: what the scores are: ``"probability"``, ``"cosine similarity"``,
            ``"dot product"`` (of output and class embedding) or ``"negative squared distance"``.
    """

    def __init__(
        self,
        model: keras.Model,
        description: ModelDescription,
        output: str | None = None,
        jit_compile: bool = False,
    ):
        position = output_position(description, output)
        self.description = description
        self.output = description.outputs[position]
        self.score_kind = score_kind(model, position, self.output)
        self._network = keras.Model(model.inputs, model.outputs[position])
        self._network.jit_compile = jit_compile

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """The network's output, float32 (images, dimensions).

        Args:
            images: raw pixels, 0 to 255, (images, height, width, channels).

        Raises:
            UserError: the network yields numbers that are not finite.
        """
        found = np.asarray(self._network.predict_on_batch(images))
        if not np.isfinite(found).all():
            raise UserError(
                f"the output {self.output.name!r} of the model is not finite: its training diverged"
            )
        return found

    def top(self, images: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """The ``k`` best classes of each image, best first.

        Returns:
            Class positions, int64 (images, k), and their scores, float32 (images, k).
        """
        outputs = self.outputs(images)
        ranking = self._ranking(outputs)
        # Stable, so that the first of equal classes wins, as with argmax in the evaluation.
        best = np.argsort(-ranking, axis=1, kind="stable")[:, :k]
        return best, np.take_along_axis(ranking, best, axis=1) + self._offset(outputs)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """The scores of all classes, float32 (images, classes)."""
        outputs = self.outputs(images)
        return self._ranking(outputs) + self._offset(outputs)

    def _ranking(self, outputs: np.ndarray) -> np.ndarray:
        """What decides in the final evaluation of a training run, (images, classes)."""
        rule = DECISIONS[self.output.decision]
        return ops.convert_to_numpy(rule(outputs, self.output.class_vectors))

    def _offset(self, outputs: np.ndarray) -> np.ndarray:
        """What the rule leaves out because it is the same for every class, (images, 1)."""
        if self.output.decision != "distance":
            return np.zeros((len(outputs), 1), np.float32)
        return -np.square(outputs).sum(axis=1, keepdims=True)


def output_position(description: ModelDescription, name: str | None = None) -> int:
    """Where an output stands among those of the network; the last one is the default.

    Raises:
        UsageError: there is none of that name.
    """
    names = [output.name for output in description.outputs]
    if name is None:
        return len(names) - 1
    if name not in names:
        raise unknown_name("output", name, names)
    return names.index(name)


def score_tensor(tensor: KerasTensor, output: Output) -> KerasTensor:
    """The scores of ``Classifier.top`` for all classes, as plain layers after an output.

    Args:
        tensor: the network's output, (batch, dimensions).
        output: its description.
    """
    if output.decision == "output":
        return tensor
    vectors = np.asarray(output.class_vectors, np.float32)
    if output.decision == "dot":
        return _linear(vectors.T, np.zeros(len(vectors), np.float32))(tensor)
    # -||p - c||² = 2 p·c - ||c||² - ||p||²
    ranking = _linear(2 * vectors.T, -np.square(vectors).sum(axis=1))(tensor)
    return ops.subtract(ranking, ops.sum(ops.square(tensor), axis=1, keepdims=True))


def _linear(kernel: np.ndarray, bias: np.ndarray) -> layers.Dense:
    layer = layers.Dense(len(bias), dtype="float32", name="class_scores")
    layer.build((None, len(kernel)))
    layer.set_weights([kernel, bias])
    return layer


def score_kind(model: keras.Model, position: int, output: Output) -> str:
    """What the scores of an output mean; see ``Classifier``.

    Args:
        model: the network.
        position: of the output among the model's.
        output: its description.
    """
    layer = model.get_layer(model.output_names[position])
    if output.decision == "output" and _is_softmax(layer):
        return PROBABILITY
    if output.decision == "distance":
        return DISTANCE
    unit = isinstance(layer, layers.UnitNormalization) and _are_unit_vectors(output)
    return COSINE if unit else DOT


def _is_softmax(layer: keras.Layer) -> bool:
    activation = getattr(layer, "activation", None)
    return isinstance(layer, layers.Softmax) or activation is keras.activations.softmax


def _are_unit_vectors(output: Output) -> bool:
    """Whether the class embeddings are; one-hot vectors, which descriptions omit, always are."""
    if output.class_vectors is None:
        return True
    return bool(np.allclose(np.linalg.norm(output.class_vectors, axis=1), 1, atol=1e-5))
