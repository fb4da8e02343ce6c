"""Exact snapshots: an interrupted and resumed run gives bit-identical results.

``keras.callbacks.BackupAndRestore`` restores weights and optimizer at the beginning of an epoch or
step, but leaves everything else that determines the next steps to the caller. Here one file
contains all of it. Random numbers are functions of seed, epoch and sample and need no state.

Contents of the file (``file.RunState``, written by ``file.save_snapshot``)
    Weights and their moving average, the optimizer's variables, epoch and step, running sums of the
    metrics of an unfinished epoch, the metrics of all previous epochs, the state of a plateau
    schedule, the run's unique ID and its identity. It is a Keras weights file with additional
    entries. It is replaced atomically, so a crash leaves the previous one intact.

When it is written (``callback.Snapshot``)
    Once before the first step; after every epoch, or only after those that improve a metric; every
    few minutes within an epoch; and when a signal ends the run. If the file cannot be written, the
    error is reported, and training goes on.

How signals end a run (``interruption``)
    SIGINT and SIGTERM take effect after the current step, or during validation, so that a snapshot
    can be written. A second signal kills the process. After every step, several hosts check whether
    one of them got a signal, so that all of them end after the same step.

How a run is resumed (``resuming``)
    The same command finds the file and starts at its ``ResumePoint``. The identity must be equal:
    data, classes, targets and libraries by content, options by value (``identity``). Batches skip
    the steps that are done, ``RestOfEpoch`` restores the sums of their metrics and ends the epoch
    at the right step, and ``end_epoch`` validates if only that was missing.

Ownership
    ``storage.outputs.claim`` locks the file against a second run; ``training.outputs`` decides by
    the run ID which other files the run may rewrite.
"""
