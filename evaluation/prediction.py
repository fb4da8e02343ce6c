"""A saved model as a classifier: from images to classes and scores."""

import keras
import numpy as np
from keras import KerasTensor, ops

from evaluation.features import finite
from models.decisions import DECISIONS
from models.files.description import ModelDescription
from utils import unknown_name, without_log


class Classifier:
    """Classifier that uses one output of a network.

    Args:
        model: a network from ``models.files.saved.load_model``.
        description: the description of the network.
        output: name of the output to use; by default the last one.
        jit_compile: whether to compile the network.

    Raises:
        UsageError: the network has no such output.

    Attributes:
        output: the description of the output in use.
        score_kind: meaning of the scores, see ``models.decisions``.
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
        self._decision = DECISIONS[self.output.decision]
        self.score_kind = self._decision.score_kind(
            model.get_layer(model.output_names[position]), self.output.class_vectors
        )
        self._network = keras.Model(model.inputs, model.outputs[position])
        self._network.jit_compile = jit_compile

    def outputs(self, images: np.ndarray) -> np.ndarray:
        """Return the network's output, float32 (images, dimensions).

        Args:
            images: raw pixels, 0 to 255, (images, height, width, channels).

        Raises:
            UserError: the network outputs numbers that are not finite.
        """
        # TensorFlow warns about retracing, but every network must be traced once.
        with without_log("tensorflow", "retracing"):
            found = np.asarray(self._network.predict_on_batch(images))
        return finite(found, "the model")

    def top(self, images: np.ndarray, k: int = 1) -> tuple[np.ndarray, np.ndarray]:
        """Return the ``k`` best classes of each image, best first.

        Returns:
            Class positions, int64 (images, k), and their scores, float32 (images, k).
        """
        outputs, vectors = self.outputs(images), self.output.class_vectors
        ranking = ops.convert_to_numpy(self._decision.scores(outputs, vectors))
        # Stable, so that ties go to the first class, as with argmax in the evaluation.
        best = np.argsort(-ranking, axis=1, kind="stable")[:, :k]
        scores = ops.convert_to_numpy(self._decision.complete(outputs, vectors))
        return best, np.take_along_axis(scores, best, axis=1)

    def scores(self, images: np.ndarray) -> np.ndarray:
        """Return the scores of all classes, float32 (images, classes)."""
        outputs = self.outputs(images)
        return ops.convert_to_numpy(self._decision.complete(outputs, self.output.class_vectors))

    def score_tensor(self, tensor: KerasTensor) -> KerasTensor:
        """Compute the scores from an output tensor with plain layers."""
        return self._decision.score_tensor(tensor, self.output.class_vectors)


def output_position(description: ModelDescription, name: str | None = None) -> int:
    """Return the index of an output among those of the network, by default the last one."""
    names = [output.name for output in description.outputs]
    if name is None:
        return len(names) - 1
    if name not in names:
        raise unknown_name("output", name, names)
    return names.index(name)
