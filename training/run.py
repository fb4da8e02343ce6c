"""A training run: what it needs, and what follows from that before it starts."""

import logging
from dataclasses import dataclass
from functools import partial

import keras

from datasets.background import BatchesWithBackground
from datasets.base import Dataset, Split
from datasets.batches import Batches
from evaluation.classification.evaluator import Evaluator
from evaluation.features import feature_tensor
from training.objectives.objective import Objective
from training.options import TrainingOptions
from training.parallel import backend, hosts
from training.parallel.group import ALONE, Group
from training.schedules import DEPEND_ON_EPOCHS, OF_PYTORCH
from training.snapshots.identity import content_identity, options_identity
from utils import UsageError, unknown_name

logger = logging.getLogger(__name__)

_SETTLING = 100  # samples that batch statistics need at most


@dataclass(frozen=True)
class Training:
    """Everything that a training run needs."""

    model: keras.Model  # not compiled, one output per term of the objective
    dataset: Dataset  # training and test split, optionally a validation split
    objective: Objective  # what is minimized
    options: TrainingOptions  # everything else
    command: dict[str, object]  # all options of the command by name, for the record
    # processes that train together; the model was built in their scope, see ``replicas.joined``
    group: Group = ALONE
    background: Split | None = None  # images without a class to add to every training batch

    @property
    def has_momentum_of_gradients(self) -> bool:
        """Whether the momentum accumulates gradients, like PyTorch's, instead of steps."""
        schedule = self.options.schedule.lr_schedule
        return self.options.optimizer == "sgd" and schedule in OF_PYTORCH

    def check_metrics(self) -> None:
        """Refuse early stopping on test images, and unknown metrics for ``--snapshot_best``.

        Raises:
            UsageError: an option does not fit the data set or the objective.
        """
        if self.options.early_stopping and self.dataset.validation is None:
            noun = self.dataset.noun
            raise UsageError(
                f"--early_stopping {self.options.early_stopping}: would choose an epoch by the "
                f"test {noun}; hold out training {noun} with --val_fraction or --folds"
            )
        metric = self.options.snapshot_best
        known = self.objective.metric_names(self.model.output_names, self.options.top_k_acc)
        if metric is not None and metric not in known:
            raise unknown_name("metric for --snapshot_best", metric, known)

    def evaluator(self) -> Evaluator:
        """Return what evaluates the network on a split."""
        return Evaluator(
            self.model,
            self.objective.heads(self.model),
            feature_tensor(self.model),
            self.options.top_k_acc,
            backend.jit_compile(self.options.jit),
            hosts.replicate,
            hosts.shard_batch,
        )

    def batches(self) -> tuple[Batches, Batches, Batches]:
        """Return batches: training (reshuffled every epoch), validation and test (in order)."""
        options, dataset, background = self.options, self.dataset, self.background
        loading = {
            "workers": options.read_workers,
            "max_queue_size": options.queue_size,
            "multiple": self.group.replicas,
            "num_outputs": len(self.objective.terms),
            "part": (self.group.rank, self.group.processes),
        }
        shuffled = Batches
        if background is not None:
            shuffled = partial(BatchesWithBackground, background=background)
        training = shuffled(
            dataset.train,
            dataset.train_transform,
            options.batch_size,
            seed=options.seed,
            shuffle=True,
            repeats=dataset.repeats,
            mixing=dataset.mixing,
            oversample=options.oversample,
            **loading,
        )
        size = self.group.rounded_up(options.val_batch_size or options.batch_size)
        in_order = partial(Batches, transform=dataset.test_transform, batch_size=size, **loading)
        testing = in_order(dataset.test)
        if dataset.validation is None:
            return training, testing, testing
        return training, in_order(dataset.validation), testing

    def warn_of_data(self, training: Batches) -> None:
        """Warn of a single class, and of few samples for batch normalization once a pass."""
        if len(self.dataset.labels) == 1:
            name = self.dataset.class_names[0]
            message = "There is only one class, %s: every accuracy is 1 and means nothing"
            logger.warning(message, name)
        last = training.per_pass % training.batch_size
        if 0 < last <= min(training.batch_size, _SETTLING) // 8:
            logger.warning(
                "Of %d training samples, %d would be the last batch: too few for the statistics of "
                "batch normalization, which can spoil the training; another --batch_size avoids it",
                training.per_pass,
                last,
            )

    def shared_content(self) -> dict[str, str]:
        """Return what all processes of a run must learn from, see ``content_identity``."""
        return content_identity(self.dataset, self.objective, self.options.finetune)

    def identity(self, epochs: int) -> dict[str, str]:
        """Return what must equal the identity in a snapshot; empty without ``--snapshot``."""
        options, dataset = self.options, self.dataset
        if options.outputs.snapshot is None:
            return {}
        # The learning rates of these depend on the total number of epochs.
        whole = options.max_decay or options.schedule.lr_schedule in DEPEND_ON_EPOCHS
        more = {"epochs": str(epochs)} if whole else {}
        more |= {"momentum": "of gradients"} if self.has_momentum_of_gradients else {}
        content = content_identity(dataset, self.objective, options.finetune, self.background)
        if dataset.validation is not None:
            del content[f"test {dataset.noun}"]  # they do not influence the training
        return options_identity(self.command) | more | content
