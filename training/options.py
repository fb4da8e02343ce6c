"""The options of a training run; `cli/training_options.py` explains them."""

from dataclasses import dataclass, field
from pathlib import Path

OPTIMIZERS = ("sgd", "adam", "adamw")
"""The keys of ``training.optimizer.OPTIMIZERS``, repeated here for commands without Keras."""


@dataclass(frozen=True)
class ScheduleOptions:
    """The learning-rate schedule and its parameters, see training/schedules.py."""

    lr_schedule: str = "SGDR"
    epochs: int | None = None  # None: as many as the schedule has
    sgd_patience: int = 10  # epochs without a better validation loss
    sgd_lr: float = 0.1
    sgd_min_lr: float = 1e-4
    sgd_schedule: str | None = None  # "EPOCH:LR,…,TOTAL", epochs counted from 1
    sgdr_base_len: int = 12  # epochs
    sgdr_mul: int = 2
    sgdr_max_lr: float = 0.1
    clr_step_len: int = 12  # epochs of half a cycle
    clr_min_lr: float = 1e-5
    clr_max_lr: float = 0.1
    cosine_max_lr: float = 0.1
    cosine_min_lr: float = 0.0
    cosine_warmup: int = 0  # epochs
    step_lr: float = 0.1
    step_len: int = 30  # epochs
    step_factor: float = 0.1


@dataclass(frozen=True)
class OutputOptions:
    """The files to write; None: do not write."""

    model_dump: Path | None = None
    weight_dump: Path | None = None
    feature_dump: Path | None = None
    history: Path | None = None
    log_dir: Path | None = None
    plot_features: Path | None = None  # folder
    snapshot: Path | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class HostOptions:
    """The machines that train together and the rank of this one, see training/parallel/hosts."""

    hosts: int = 1
    host_rank: int = 0
    coordinator: str = ""  # HOST:PORT of the first one
    join_timeout: int = 300  # seconds to wait for the others at the start
    lost_timeout: int = 30  # seconds without a heartbeat until a machine is lost


@dataclass(frozen=True)
class TrainingOptions:
    """Everything about a run except its data set, network and objective."""

    schedule: ScheduleOptions = field(default_factory=ScheduleOptions)
    outputs: OutputOptions = field(default_factory=OutputOptions)
    batch_size: int = 100
    val_batch_size: int | None = None  # None: batch_size
    val_every: int = 1  # epochs
    clipgrad: float = 10.0  # norm of the whole gradient; 0: no clipping
    max_decay: float = 0.0  # factor on the learning rate at the end; 0: no decay
    nesterov: bool = False
    optimizer: str = "sgd"  # one of OPTIMIZERS
    weight_decay: float = 0.0  # added to the clipped gradient; adamw: decoupled
    accumulate: int = 1  # batches per step
    oversample: bool = False  # whether each class is drawn equally often
    early_stopping: int | None = None  # patience in epochs; None: train all epochs
    ema: float = 0.0  # decay of the moving average of the weights, below 1; 0: no average
    plot_every: int | None = None  # epochs; None: val_every
    initial_epoch: int = 0
    snapshot_minutes: float | None = None  # between snapshots in an epoch; None: only after epochs
    snapshot_best: str | None = None  # metric; None: a snapshot after every epoch
    finetune: Path | None = None
    finetune_init: int = 0  # epochs
    seed: int = 0
    jit: str = "auto"
    steps_per_execution: int = 1
    mixed_precision: str | None = None  # "bfloat16" or "float16"
    gpus: int = 1  # replicas
    gpu_merge: bool = False
    device_type: str = "auto"  # "gpu" or "cpu"
    read_workers: int = 8  # threads
    queue_size: int = 100  # batches
    top_k_acc: tuple[int, ...] = ()
    progress: bool = True
