"""Options of the training commands: network, training, devices, learning rate, outputs.

Imports nothing heavy, so that ``--help`` takes less than a second.
"""

import argparse
import dataclasses
import os
import sys
from collections.abc import Callable

from cli.arguments import (
    below_one,
    fraction,
    known,
    non_negative_float,
    non_negative_int,
    positive,
    refuse,
    seed,
    user_path,
)
from datasets.class_weights import BALANCED
from models import (
    HARMONIC_LEVELS,
    architecture_names,
    check_architecture,
    check_convolutions,
)
from training.learning_rates import parse_step_schedule
from training.options import OPTIMIZERS, OutputOptions, ScheduleOptions, TrainingOptions
from training.parallel.startup import backend_name
from training.schedules import SCHEDULES, waits_for_validation
from utils import UsageError

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
        help="residual networks: use full convolutions, whose outputs grow instead of losing their "
        "border",
    )
    add(
        "--harmonic",
        action="store_true",
        help="residual networks: use harmonic convolutions, whose kernels are sums of cosine waves",
    )
    add(
        "--harmonic_level",
        type=positive,
        metavar="L",
        help="in all layers but the first, keep only waves whose two frequencies add up to less "
        f"than L, from 1 to {HARMONIC_LEVELS} (default: keep all waves)",
    )
    add(
        "--finetune",
        type=user_path,
        help="initial weights, matched by layer name: .h5 from Keras 2, .weights.h5, .keras",
    )
    add(
        "--finetune_init",
        type=non_negative_int,
        default=finetune_init,
        help="with --finetune, first train only the last layers for this number of epochs, at "
        "the learning rate --sgd_lr",
    )


def convolutions(args: argparse.Namespace) -> dict[str, object]:
    """Return the options of ``models.build_backbone`` about the kind of convolutions."""
    return {name: getattr(args, name) for name in ("fconv", "harmonic", "harmonic_level")}


def check_model_options(args: argparse.Namespace) -> None:
    """Raise UsageError if the network does not support the requested kind of convolutions."""
    check_convolutions(args.architecture, **convolutions(args))


def check_training_options(args: argparse.Namespace) -> None:
    """Raise UsageError if options of the training contradict each other."""
    options = from_args(args)
    if options.finetune and not os.path.isfile(options.finetune):
        raise UsageError(f"--finetune {options.finetune}: there is no such file")
    if options.steps_per_execution > 1 and options.ema:
        raise UsageError(
            f"--steps_per_execution {options.steps_per_execution}: --ema averages the weights "
            "after each step; give --steps_per_execution 1"
        )
    if options.steps_per_execution > 1 and backend_name() == "torch":
        raise UsageError(
            f"--steps_per_execution {options.steps_per_execution}: PyTorch runs one step at a time"
        )
    if options.optimizer != "sgd" and options.nesterov:
        raise UsageError(f"--nesterov: --optimizer {options.optimizer} has no such momentum")
    if options.val_every > 1 and waits_for_validation(options.schedule):
        raise UsageError(
            f"--val_every {options.val_every}: --lr_schedule SGD needs the validation loss of "
            "every epoch; give --val_every 1, or --sgd_schedule"
        )
    if not options.outputs.plot_features:
        refuse(args, ("plot_every",), "needs --plot_features DIR")
    if (options.plot_every or 0) % options.val_every:
        raise UsageError(
            f"--plot_every {options.plot_every}: features are computed when the network is "
            f"evaluated; give a multiple of --val_every {options.val_every}"
        )
    if not options.outputs.snapshot:
        refuse(args, ("snapshot_best", "snapshot_minutes"), "needs --snapshot FILE")
    if options.snapshot_best and options.snapshot_minutes is not None:
        raise UsageError("--snapshot_best keeps epochs only; leave --snapshot_minutes out")


def add_training_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for epochs, batches, optimizer and metrics."""
    add = parser.add_argument_group("training").add_argument
    add(
        "--epochs",
        type=non_negative_int,
        help="epochs to train (default: length of the schedule: SGD 200, "
        "SGDR 372, CLR 240, ResNet-Schedule 164, Cosine and Step 100)",
    )
    add("--batch_size", type=positive, default=100, help="images per training batch")
    add(
        "--val_batch_size",
        type=positive,
        help="images per validation or test batch (default: --batch_size)",
    )
    _add_validation_options(add)
    _add_optimizer_options(add)
    _add_averaging_options(add)
    add(
        "--top_k_acc",
        type=positive,
        nargs="+",
        default=[],
        metavar="K",
        help="also report the top-K accuracy",
    )
    add("--seed", type=seed, default=0, help="seed of all random numbers")
    add(
        "--initial_epoch",
        type=non_negative_int,
        default=0,
        help="number of epochs to skip because they are done; not needed with --snapshot",
    )
    add("--no_progress", action="store_true", help="no progress bar on terminals")


def _add_validation_options(add: Callable) -> None:
    add(
        "--val_every",
        type=positive,
        default=1,
        help="evaluate after every N-th epoch, at the end of each SGDR cycle and after the last "
        "epoch",
    )
    add(
        "--early_stopping",
        type=positive,
        metavar="N",
        help="stop after N epochs without a better validation accuracy, then evaluate and save the "
        "weights of the best epoch; needs --val_fraction, --folds or validation images",
    )


def _add_optimizer_options(add: Callable) -> None:
    add(
        "--clipgrad",
        type=non_negative_float,
        default=10.0,
        metavar="NORM",
        help="maximum norm of the gradient of all weights; 0: no clipping",
    )
    add(
        "--max_decay",
        type=fraction,
        default=0.0,
        help="time-based decay on top of the schedule, down to a factor of F at the end; 0: none",
    )
    add("--nesterov", action="store_true", help="use Nesterov momentum")
    add(
        "--optimizer",
        choices=OPTIMIZERS,
        default="sgd",
        help="sgd: stochastic gradient descent with a momentum of 0.9; adam: Adam; adamw: Adam "
        "with decoupled weight decay",
    )
    add(
        "--weight_decay",
        type=non_negative_float,
        default=0.0,
        metavar="D",
        help="L2 penalty: add D times the weights to their clipped gradients, like PyTorch; adamw: "
        "decoupled, subtract D times the learning rate times the weights; in addition to the "
        "network's own penalties",
    )


def _add_averaging_options(add: Callable) -> None:
    add(
        "--accumulate",
        type=positive,
        default=1,
        help="average the gradients of N batches for one step, like a batch of N times the size",
    )
    add(
        "--ema",
        type=below_one,
        default=0.0,
        metavar="DECAY",
        help="evaluate and save the exponential moving average of weights and batch statistics, "
        "with a decay such as 0.999; 0: no average",
    )


def add_device_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for devices and precision."""
    add = parser.add_argument_group("devices").add_argument
    add("--gpus", type=positive, default=1, help="number of GPUs to divide every batch among")
    add(
        "--gpu_merge", action="store_true", help="several GPUs: sum gradients there, not on the CPU"
    )
    add(
        "--device_type",
        choices=DEVICE_TYPES,
        default="auto",
        help="cpu: let the CPU act as --gpus devices; auto: GPUs, or the CPU if there is none",
    )
    add(
        "--mixed_precision",
        nargs="?",
        const="bfloat16",
        choices=("bfloat16", "float16"),
        help="compute in half precision, but keep weights in float32",
    )
    add(
        "--jit",
        choices=("auto", "on", "off"),
        default="auto",
        help="compile the training step with XLA; auto: where this is faster",
    )
    add(
        "--steps_per_execution",
        type=positive,
        default=1,
        help="steps per call of the device; may be faster on GPUs, does not change results",
    )


def add_schedule_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for the learning-rate schedule."""
    defaults = ScheduleOptions()
    group = parser.add_argument_group("learning rate")
    group.add_argument(
        "--lr_schedule",
        choices=tuple(SCHEDULES),
        default=defaults.lr_schedule,
        help="SGD: lower the rate when val_loss stalls, or in fixed steps; SGDR: cosine cycles "
        "with warm restarts; CLR: triangular cycles; ResNet-Schedule: fixed steps over 164 epochs; "
        "Cosine: a single cosine decay; Step: regular steps",
    )

    def add(name: str, kind: Callable, text: str) -> None:
        group.add_argument(name, type=kind, default=getattr(defaults, name[2:]), help=text)

    add(
        "--sgd_patience",
        non_negative_int,
        "SGD: divide the rate by 10 after this number of epochs without a better val_loss",
    )
    add("--sgd_lr", non_negative_float, "SGD: initial learning rate")
    add("--sgd_min_lr", non_negative_float, "SGD: lowest learning rate")
    add(
        "--sgd_schedule",
        known(parse_step_schedule),
        "SGD: fixed steps instead, EPOCH:RATE,…,EPOCHS, for example 1:0.1,31:0.01,41:0.001,50",
    )
    add("--sgdr_base_len", positive, "SGDR: epochs in the first cycle")
    add("--sgdr_mul", positive, "SGDR: factor by which each cycle is longer than the last")
    add("--sgdr_max_lr", non_negative_float, "SGDR: learning rate at the start of each cycle")
    add(
        "--clr_step_len",
        positive,
        "CLR: epochs from the lowest to the highest rate; the schedule has 20 such half cycles",
    )
    add("--clr_min_lr", non_negative_float, "CLR: lowest learning rate")
    add("--clr_max_lr", non_negative_float, "CLR: highest learning rate")
    add("--cosine_max_lr", non_negative_float, "Cosine: highest learning rate")
    add("--cosine_min_lr", non_negative_float, "Cosine: learning rate at the end")
    add("--cosine_warmup", non_negative_int, "Cosine: epochs of linear warm-up")
    add("--step_lr", non_negative_float, "Step: initial learning rate")
    add("--step_len", positive, "Step: epochs between changes of the rate")
    add("--step_factor", fraction, "Step: factor of each change, at most 1")


def add_output_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for output files."""
    group = parser.add_argument_group("output")

    def add(name: str, text: str, metavar: str = "FILE") -> None:
        group.add_argument(name, type=user_path, metavar=metavar, help=text)

    add("--model_dump", "save the trained network, .keras (or .h5)")
    add("--weight_dump", "save the trained weights, .h5")
    add("--feature_dump", "save the features of the test images, .npz or .pickle")
    add("--history", "save all metrics of every epoch, .csv")
    add("--log_dir", "write TensorBoard logs", "DIR")
    add("--plot_features", "plot the features of validation (or test) images", "DIR")
    group.add_argument(
        "--plot_every",
        type=positive,
        metavar="N",
        help="plot features after every N-th epoch and the last (default: --val_every)",
    )
    add("--snapshot", "save the training state after every epoch; repeat the command to resume")
    group.add_argument(
        "--snapshot_minutes",
        type=non_negative_float,
        metavar="M",
        help="also save within an epoch, when the last snapshot is M minutes old; 0: after every "
        "step",
    )
    group.add_argument(
        "--snapshot_best",
        nargs="?",
        const="val_loss",
        metavar="METRIC",
        help="save only epochs that improve METRIC (val_loss if not given)",
    )
    group.add_argument("--overwrite", action="store_true", help="replace existing files")


def add_balancing_options(group: argparse._ArgumentGroup) -> None:
    """Add the options for imbalanced classes."""
    exclusive = group.add_mutually_exclusive_group()
    exclusive.add_argument(
        "--class_weights",
        type=lambda text: text if text == BALANCED else user_path(text),
        metavar=f"{BALANCED}|FILE",
        help=f"weights of the classes in the loss: {BALANCED}: inversely proportional to their "
        "numbers of images; or a CSV file with lines CLASS,WEIGHT",
    )
    exclusive.add_argument(
        "--oversample",
        action="store_true",
        help="repeat images of smaller classes, so that all classes are equally frequent",
    )


def from_args(args: argparse.Namespace) -> TrainingOptions:
    """Convert parsed arguments to ``TrainingOptions``."""
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
