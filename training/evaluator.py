"""How good a network is on a split: after every epoch and at the end, by the same figures."""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import keras
import numpy as np

from datasets.batches import Batches
from evaluation.classification.accuracy import average_accuracy
from evaluation.features import feature_tensor
from models.decisions import DECISIONS
from training.objectives.objective import Objective
from training.parallel import hosts


@dataclass(frozen=True)
class Judgement:
    """What a network does on a split.

    Attributes:
        figures: loss and metrics, named as those of the training.
        average_accuracy: mean over classes of the accuracy per class.
        features: float32 array (samples, dimensions), see ``evaluation.features.feature_tensor``.
    """

    figures: dict[str, float]
    average_accuracy: float
    features: np.ndarray


class Judge:
    """Judges a network on a split, as often as wanted.

    Every sample counts the same in every figure. ``Model.evaluate`` reports means over batches of
    several losses, in which a smaller last batch weighs too much, and knows no samples that fill up
    a batch.

    Args:
        model: one output per term of the objective.
        objective: what each output is judged by.
        batches: the split in order.
        top_k: further accuracies.
        jit_compile: whether the network is compiled for this.
    """

    def __init__(
        self,
        model: keras.Model,
        objective: Objective,
        batches: Batches,
        top_k: tuple[int, ...] = (),
        jit_compile: bool = False,
    ):
        self.model = model
        self.objective = objective
        self.batches = batches
        self._watching = keras.Model(
            model.inputs, hosts.replicate([*model.outputs, feature_tensor(model)])
        )
        self._watching.jit_compile = jit_compile
        self._metrics = [output.metrics(top_k) for output in objective.terms]

    def on(self, batches: Batches) -> "Judge":
        """The same for another split, without another network."""
        judge = copy.copy(self)
        judge.batches = batches
        return judge

    def __call__(self, verbose: int = 0, check: Callable[[], None] | None = None) -> Judgement:
        """The judgement of the weights as they are now.

        Args:
            verbose: 1 shows a progress bar.
            check: called after every batch; what it raises ends the judging.
        """
        labels = self.batches.split.labels
        *predictions, features = self._predict(verbose, check)
        classifying = self.objective.terms[-1]
        decision = DECISIONS[classifying.decision]
        scores = decision.scores(predictions[-1], classifying.class_vectors)
        predicted = keras.ops.convert_to_numpy(scores).argmax(axis=-1)
        return Judgement(
            self._figures(predictions, labels), average_accuracy(predicted, labels), features
        )

    def _predict(self, verbose: int, check: Callable[[], None] | None) -> list[np.ndarray]:
        """All outputs on the whole split.

        ``Model.predict`` builds a pipeline of TensorFlow's at each call, of which some stays in
        memory. Batches of one size need one compiled function.
        """
        progress = keras.utils.Progbar(len(self.batches), verbose=verbose)
        size, found = None, []
        for index in range(len(self.batches)):
            images = self.batches[index][0]
            size = size or len(images)
            outputs = self._watching.predict_on_batch(hosts.shard_batch(_filled(images, size)))
            found.append([self._shares(output, len(images)) for output in outputs])
            progress.update(index + 1)
            if check:
                check()
        count = len(self.batches.split)  # without what filled up the last batch
        return [np.concatenate(output)[:count] for output in zip(*found, strict=True)]

    def forget_trainability(self) -> None:
        """To be called when layers have been frozen or released since the last judgement.

        A function that JAX compiled for several devices is good for one set of trained weights.
        """
        if keras.distribution.distribution() is not None:
            self._watching.predict_function = None

    def _shares(self, output: np.ndarray, number: int) -> np.ndarray:
        """The first values of what each process has put in, which may be filled up."""
        *_, processes = self.batches.part
        shares = output.reshape(processes, -1, *output.shape[1:])
        return shares[:, :number].reshape(-1, *output.shape[1:])

    def _figures(self, predictions: list[np.ndarray], labels: np.ndarray) -> dict[str, float]:
        several = len(predictions) > 1
        total = sum(float(keras.ops.convert_to_numpy(penalty)) for penalty in self.model.losses)
        losses, accuracies = {}, {}
        outputs = zip(
            *(self.model.output_names, self.objective.terms, self._metrics, predictions),
            strict=True,
        )
        for name, output, metrics, predicted in outputs:
            prefix = f"{name}_" if several else ""
            predicted = keras.ops.convert_to_tensor(predicted)
            losses[f"{name}_loss"] = float(keras.ops.mean(output.loss(labels, predicted)))
            total += output.weight * losses[f"{name}_loss"]
            for metric in metrics:
                hits = keras.ops.convert_to_numpy(metric.hits(labels, predicted))
                accuracies[prefix + metric.name] = float(hits.mean())
        return {"loss": total, **(losses if several else {}), **accuracies}


def _filled(images: np.ndarray, size: int) -> np.ndarray:
    """The images, and copies of the first one up to that number."""
    missing = size - len(images)
    return np.concatenate([images, np.repeat(images[:1], missing, axis=0)]) if missing else images


class Validation(keras.callbacks.Callback):
    """Adds the figures of a split to those of each epoch, as ``val_…``.

    Stands before all callbacks that read them.

    Args:
        judge: of the split.
        check: see ``Judge``.
    """

    def __init__(self, judge: Judge, check: Callable[[], None] | None = None):
        super().__init__()
        self.judge = judge
        self.check = check

    def on_epoch_end(self, epoch: int, logs: dict | None = None) -> None:
        if logs is not None:
            figures = self.judge(check=self.check).figures
            logs.update({f"val_{name}": value for name, value in figures.items()})
