"""A ``MirroredStrategy`` whose replicas divide the batches; only imported under TensorFlow."""

from collections.abc import Callable

import tensorflow as tf


class SharedBatches(tf.distribute.MirroredStrategy):
    """``MirroredStrategy`` for Keras in which each replica slices its share from every batch.

    TensorFlow's own distributed data sets stall for up to five seconds whenever an iterator is
    created, which Keras does twice per epoch; no issue is known.
    """

    def experimental_distribute_dataset(
        self, dataset: tf.data.Dataset, options: tf.distribute.InputOptions | None = None
    ) -> tf.data.Dataset:
        """Return the data set unchanged; ``run`` divides its batches."""
        return dataset

    def run(
        self,
        fn: Callable,
        args: tuple = (),
        kwargs: dict | None = None,
        options: tf.distribute.RunOptions | None = None,
    ) -> object:
        """Call a function in each replica with its share of all arguments, split along axis 0.

        Batch sizes must be multiples of the number of replicas; see ``tf.distribute.Strategy.run``.
        """

        def on_replica(*batches: object) -> object:
            return fn(*tf.nest.map_structure(_share, batches))

        return super().run(on_replica, args, kwargs, options)


def _share(batch: tf.Tensor | None) -> tf.Tensor | None:
    if batch is None:
        return None
    context = tf.distribute.get_replica_context()
    with tf.device("cpu:0"):  # so that only its own share is copied to the replica's device
        size = tf.shape(batch)[0] // context.num_replicas_in_sync
        return batch[context.replica_id_in_sync_group * size :][:size]
