"""Options of the training commands: network, training, devices, learning rate, outputs.

Imports nothing heavy: ``--help`` answers in under a second.
"""

import argparse
import dataclasses
import sys
from collections.abc import Callable

from cli.arguments import (
    below_one,
    fraction,
    known,
    non_negative_float,
    non_negative_int,
    positive,
    seed,
    user_path,
)
from cli.class_options import BALANCED
from models import (
    HARMONIC_LEVELS,
    architecture_names,
    check_architecture,
    check_convolutions,
)
from training.learning_rates import parse_step_schedule
from training.options import OPTIMIZERS, OutputOptions, ScheduleOptions, TrainingOptions
from training.schedules import SCHEDULES

DEVICE_TYPES = ("auto", "gpu", "cpu")


def add_model_options(parser: argparse.ArgumentParser, finetune_init: int) -> None:
    """Add the options of the network and its initial weights."""
    add = parser.add_argument_group("network").add_argument
    add(
        "--architecture",
        type=known(check_architecture),
        default="simple",
        metavar="NAME",
        help=f"one of {', '.join(architecture_names())}",
    )
    add(
        "--fconv",
        action="store_true",
        help="full convolutions, of residual networks: maps grow instead of losing their border",
    )
    add(
        "--harmonic",
        action="store_true",
        help="harmonic convolutions, of residual networks: kernels are sums of cosine waves",
    )
    add(
        "--harmonic_level",
        type=positive,
        metavar="L",
        help="keep the waves whose two frequencies sum up to less than L, 1 to "
        f"{HARMONIC_LEVELS}, in all layers but the first (default: all waves)",
    )
    add(
        "--finetune",
        type=user_path,
        help="start from these weights, matched by layer name: .h5 of Keras 2, .weights.h5, .keras",
    )
    add(
        "--finetune_init",
        type=non_negative_int,
        default=finetune_init,
        help="epochs in which only the last layers are trained, at --sgd_lr",
    )


def convolutions(args: argparse.Namespace) -> dict[str, object]:
    """Return the options of ``models.build_backbone`` that say how convolutions are made."""
    return {name: getattr(args, name) for name in ("fconv", "harmonic", "harmonic_level")}


def check_model_options(args: argparse.Namespace) -> None:
    """Raise UsageError if the network does not have the convolutions that are wanted."""
    check_convolutions(args.architecture, **convolutions(args))


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of epochs, batches, optimizer and accuracies."""
    add = parser.add_argument_group("training").add_argument
    add("--epochs", type=non_negative_int, help="(default: as many as the schedule has)")
    add("--batch_size", type=positive, default=100, help="images")
    add("--val_batch_size", type=positive, help="images (default: --batch_size)")
    add(
        "--val_every",
        type=positive,
        default=1,
        help="evaluate after every N-th epoch, the last one of each SGDR cycle and the last of all",
    )
    add(
        "--early_stopping",
        type=positive,
        metavar="N",
        help="end after N epochs without a better validation accuracy, and evaluate and save the "
        "weights of the best epoch; needs --val_fraction, --folds or validation images",
    )
    _add_optimizer_options(add)
    add(
        "--top_k_acc",
        type=positive,
        nargs="+",
        default=[],
        metavar="K",
        help="also report the top-K accuracy",
    )
    add("--seed", type=seed, default=0, help="of all randomness")
    add(
        "--initial_epoch",
        type=non_negative_int,
        default=0,
        help="epochs to count as done (a snapshot knows by itself)",
    )
    add("--no_progress", action="store_true", help="no progress bar on terminals")


def _add_optimizer_options(add: Callable) -> None:
    add(
        "--clipgrad",
        type=non_negative_float,
        default=10.0,
        metavar="NORM",
        help="largest norm of the whole gradient; 0: any",
    )
    add(
        "--max_decay",
        type=fraction,
        default=0.0,
        help="time-based decay on top of the schedule that reaches factor F at the end; 0: none",
    )
    add("--nesterov", action="store_true", help="use Nesterov momentum")
    add(
        "--optimizer",
        choices=OPTIMIZERS,
        default="sgd",
        help="sgd: stochastic gradient descent with a momentum of 0.9; adam: Adam; adamw: the same "
        "with another weight decay",
    )
    add(
        "--weight_decay",
        type=non_negative_float,
        default=0.0,
        metavar="D",
        help="add D times the weights to their clipped gradients, as PyTorch does; adamw: take D "
        "times the learning rate times the weights off them. It comes on top of the penalties that "
        "a network has",
    )
    add(
        "--accumulate",
        type=positive,
        default=1,
        help="batches of which the mean gradient makes one step, as a batch of so many times the "
        "size does",
    )
    add(
        "--ema",
        type=below_one,
        default=0.0,
        metavar="DECAY",
        help="evaluate and save the exponential moving average of weights and batch statistics; "
        "like 0.999; 0: the weights themselves",
    )


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of devices and precision."""
    add = parser.add_argument_group("devices").add_argument
    add("--gpus", type=positive, default=1, help="GPUs to share every batch")
    add("--gpu_merge", action="store_true", help="merge replicas on the GPUs instead of the CPU")
    add(
        "--device_type",
        choices=DEVICE_TYPES,
        default="auto",
        help="cpu: have the CPU act as so many GPUs; auto: GPUs, or the CPU if there is none",
    )
    add(
        "--mixed_precision",
        nargs="?",
        const="bfloat16",
        choices=("bfloat16", "float16"),
        help="compute in half precision, keep weights in float32",
    )
    add(
        "--jit",
        choices=("auto", "on", "off"),
        default="auto",
        help="compile the training step; auto: where it pays",
    )
    add(
        "--steps_per_execution",
        type=positive,
        default=1,
        help="steps that the device does in one go; changes no result, may be faster on GPUs",
    )


def add_schedule_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the learning-rate schedule."""
    defaults = ScheduleOptions()
    group = parser.add_argument_group("learning rate")
    group.add_argument("--lr_schedule", choices=tuple(SCHEDULES), default=defaults.lr_schedule)

    def add(name: str, kind: Callable, text: str) -> None:
        group.add_argument(name, type=kind, default=getattr(defaults, name[2:]), help=text)

    add(
        "--sgd_patience",
        non_negative_int,
        "SGD: divide the rate by 10 after so many epochs without a better val_loss",
    )
    add("--sgd_lr", non_negative_float, "SGD: first learning rate")
    add("--sgd_min_lr", non_negative_float, "SGD: lowest learning rate")
    add(
        "--sgd_schedule",
        known(parse_step_schedule),
        "SGD: fixed steps, like 1:0.1,31:0.01,41:0.001,50: EPOCH:RATE, …, number of epochs",
    )
    add("--sgdr_base_len", positive, "SGDR: epochs of the first cycle")
    add("--sgdr_mul", positive, "SGDR: factor on the length of each next cycle")
    add("--sgdr_max_lr", non_negative_float, "SGDR: learning rate at the start of each cycle")
    add("--clr_step_len", positive, "CLR: epochs from the lowest to the highest rate; 20 in all")
    add("--clr_min_lr", non_negative_float, "CLR: lowest learning rate")
    add("--clr_max_lr", non_negative_float, "CLR: highest learning rate")
    add("--cosine_max_lr", non_negative_float, "Cosine: highest learning rate, of the first step")
    add("--cosine_min_lr", non_negative_float, "Cosine: learning rate after the last step")
    add("--cosine_warmup", non_negative_int, "Cosine: first epochs, in which the rate rises")
    add("--step_lr", non_negative_float, "Step: first learning rate")
    add("--step_len", positive, "Step: epochs with the same rate")
    add("--step_factor", non_negative_float, "Step: factor to the rate after so many epochs")


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the output files."""
    group = parser.add_argument_group("output")

    def add(name: str, text: str, metavar: str = "FILE") -> None:
        group.add_argument(name, type=user_path, metavar=metavar, help=text)

    add("--model_dump", "network and weights at the end, .keras (or .h5)")
    add("--weight_dump", "weights at the end, .h5")
    add("--feature_dump", "features of the test images at the end, .npz or .pickle")
    add("--history", "all metrics of every epoch, .csv")
    add("--log_dir", "logs for TensorBoard", "DIR")
    add("--plot_features", "pictures of the features of test (or validation) images", "DIR")
    group.add_argument(
        "--plot_every",
        type=positive,
        metavar="N",
        help="--plot_features after every N-th epoch and the last (default: --val_every)",
    )
    add("--snapshot", "state after every epoch; the same command again goes on from there")
    group.add_argument(
        "--snapshot_minutes",
        type=non_negative_float,
        metavar="M",
        help="also within an epoch, when the last one is M minutes old; 0: after every step",
    )
    group.add_argument(
        "--snapshot_best",
        nargs="?",
        const="val_loss",
        metavar="METRIC",
        help="keep only the snapshot of the best epoch by METRIC (val_loss if not given)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace files that exist")


def add_balancing_options(group: argparse._ArgumentGroup) -> None:
    """Add the options for classes of unequal size."""
    exclusive = group.add_mutually_exclusive_group()
    exclusive.add_argument(
        "--class_weights",
        type=lambda text: text if text == BALANCED else user_path(text),
        metavar=f"{BALANCED}|FILE",
        help=f"factors of the loss of each class: {BALANCED}, by the number of its images; or a "
        "CSV file with lines CLASS,WEIGHT",
    )
    exclusive.add_argument(
        "--oversample",
        action="store_true",
        help="let each epoch have as many images of every class as the largest class has",
    )


def from_args(args: argparse.Namespace) -> TrainingOptions:
    """Return the options as the training code takes them."""
    values = vars(args)

    def pick(kind: type) -> dict[str, object]:
        return {f.name: values[f.name] for f in dataclasses.fields(kind) if f.name in values}

    return TrainingOptions(
        **pick(TrainingOptions)
        | {
            "schedule": ScheduleOptions(**pick(ScheduleOptions)),
            "outputs": OutputOptions(**pick(OutputOptions)),
            "top_k_acc": tuple(args.top_k_acc),
            "progress": not args.no_progress and sys.stdout.isatty(),
        }
    )
