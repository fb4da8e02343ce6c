"""The exact snapshot: a run that was interrupted ends with the bits of one that never was.

``keras.callbacks.BackupAndRestore`` restores weights and optimizer at the begin of an epoch or
step; what else decides about the following steps is the caller's business. Here it is all in one
file, and all random numbers are functions of seed, epoch and sample, so nothing else has a state.

What the file holds (``file.RunState``, written by ``file.save_snapshot``)
    weights and their moving average, the optimizer's variables, epoch and step, the sums of the
    metrics of an epoch under way, the metrics of all epochs before, the state of a plateau
    schedule, the unique ID of the run and its identity. It is a Keras weights file with a few
    entries more, and replaces the one before in one go: a crash leaves the older one whole.

When it is written (``callback.Snapshot``)
    once before the first step; after every epoch, or only after those that improve a metric; every
    few minutes within an epoch; and when a signal ends the run. A file that cannot be written is
    reported, and training goes on.

How signals end a run (``interruption``)
    SIGINT and SIGTERM are noted and obeyed after the step, or within validation, so that a snapshot
    can be written; a second signal kills. Several hosts agree after every step whether one of them
    was told to end, so that all end after the same one.

How a run is resumed (``resuming``)
    the same command finds the file and starts at its ``ResumePoint``. The identity must be equal:
    data, classes, targets and libraries by content, the options by value (``identity``). Batches
    leave out the steps that are done, ``RestOfEpoch`` gives the metrics the sums of these and ends
    the epoch in time, and ``end_epoch`` validates if only that was missing.

Whose it is
    ``storage.outputs.claim`` keeps a second run off the file; ``training.outputs`` decides by the
    run ID which other files the run may write again.
"""
