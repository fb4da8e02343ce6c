"""The final judgement: every figure and dump from one pass over the test split."""

from dataclasses import dataclass

import keras
import numpy as np

from datasets.pipeline import Batches
from evaluation.accuracy import average_accuracy
from evaluation.decisions import DECISIONS
from evaluation.features import feature_tensor
from training.objective import Objectives


@dataclass(frozen=True)
class Judgement:
    """What the trained network does on the test split.

    Attributes:
        figures: loss and metrics, named as during training without ``val_``.
        average_accuracy: mean over classes of the accuracy per class.
        features: float32 array (samples, dimensions), see ``evaluation.features.feature_tensor``.
    """

    figures: dict[str, float]
    average_accuracy: float
    features: np.ndarray


def judge(
    model: keras.Model,
    objectives: Objectives,
    batches: Batches,
    labels: np.ndarray,
    top_k: tuple[int, ...] = (),
    verbose: int = 0,
) -> Judgement:
    """Evaluates a network on batches in the order of ``labels``.

    Args:
        model: one output per objective.
        objectives: what each output is judged by.
        batches: the test split.
        labels: the class positions of its samples, shape (samples,).
        top_k: further accuracies.
        verbose: 1 shows a progress bar.
    """
    watching = keras.Model(model.inputs, [*model.outputs, feature_tensor(model)])
    watching.jit_compile = model.jit_compile
    *predictions, features = watching.predict(batches, verbose=verbose)
    classifying = objectives.outputs[-1]
    scores = DECISIONS[classifying.decision](predictions[-1], classifying.class_vectors)
    predicted = keras.ops.convert_to_numpy(scores).argmax(axis=-1)
    return Judgement(
        _figures(model, objectives, predictions, labels, top_k),
        average_accuracy(predicted, labels),
        features,
    )


def _figures(
    model: keras.Model,
    objectives: Objectives,
    predictions: list[np.ndarray],
    labels: np.ndarray,
    top_k: tuple[int, ...],
) -> dict[str, float]:
    """The figures that ``Model.evaluate`` reports, each the mean over all samples.

    Of several losses Keras itself reports means over batches, in which a smaller last batch weighs
    too much.
    """
    several = len(predictions) > 1
    total = sum(float(keras.ops.convert_to_numpy(penalty)) for penalty in model.losses)
    losses, accuracies = {}, {}
    for name, output, predicted in zip(
        model.output_names, objectives.outputs, predictions, strict=True
    ):
        prefix = f"{name}_" if several else ""
        targets = keras.ops.convert_to_tensor(output.class_vectors[labels])
        predicted = keras.ops.convert_to_tensor(predicted)
        losses[f"{name}_loss"] = float(keras.ops.mean(output.loss(targets, predicted)))
        total += output.weight * losses[f"{name}_loss"]
        for metric in output.metrics(top_k):
            metric.update_state(targets, predicted)
            accuracies[prefix + metric.name] = float(metric.result())
    return {"loss": total, **(losses if several else {}), **accuracies}
