"""Batches hold every sample once per epoch with the right augmentation, whatever the threads."""

import importlib.util
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import keras
import numpy as np
import pytest

from datasets import get_dataset
from datasets.base import Mixing, Split
from datasets.batches import Batches, SetEpoch
from datasets.readers.cub_nab import _CUB_CLASS_SIZE
from datasets.subsets import number_of_repeats
from tests.fake_data import write_cub
from utils import UserError, generator, generators

REPOSITORY = Path(__file__).parents[2]


def numbered_split(count):
    """Images 2x2 whose pixels all are their position."""
    images = np.broadcast_to(
        np.arange(count, dtype=np.uint8)[:, None, None, None], (count, 2, 2, 1)
    )
    return Split.whole(images, np.arange(count) % 3, map(str, range(count)))


def noisy(image, rng):
    return image + rng.random(image.shape, dtype=np.float32)


def epoch_of(batches, epoch):
    batches.set_epoch(epoch)
    images, labels = zip(*(batches[i] for i in range(len(batches))), strict=True)
    return np.concatenate(images), np.concatenate(labels)


def make(count=23, batch_size=5, **options):
    return Batches(numbered_split(count), noisy, batch_size, **options)


@pytest.mark.parametrize("workers", [0, 1, 8])
@pytest.mark.parametrize("batch_size", [1, 5, 23, 100])
def test_content_follows_from_seed_epoch_and_position_only(workers, batch_size):
    batches = make(batch_size=batch_size, seed=4, shuffle=True, workers=workers, max_queue_size=3)
    assert len(batches) == -(-23 // batch_size)
    for epoch in (0, 5, 1):
        order = generator("order", 4, epoch).permutation(23)
        images, labels = epoch_of(batches, epoch)
        np.testing.assert_array_equal(labels, order % 3)
        for image, position in zip(images, order, strict=True):
            rng = next(generators("augmentation", 4, epoch, positions=[position]))
            noise = rng.random((2, 2, 1), np.float32)
            np.testing.assert_array_equal(image, np.float32(position) + noise)


@pytest.mark.parametrize("workers", [0, 3])
@pytest.mark.parametrize("multiple", [1, 5])
def test_an_epoch_is_separate_passes_each_with_its_own_order_and_last_batch(workers, multiple):
    batches = make(23, 5, shuffle=True, seed=4, repeats=3, workers=workers, multiple=multiple)
    assert len(batches) == 3 * 5
    assert make(23, 5, repeats=3).num_batches == 15
    noises = set()
    for epoch in (2, 0):
        batches.set_epoch(epoch)
        orders = []
        for number in range(3):
            contents = [batches[5 * number + i] for i in range(5)]
            assert [len(labels) for _, labels in contents] == [5, 5, 5, 5, max(3, multiple)]
            images = np.concatenate([images for images, _ in contents])[:, 0, 0, 0]
            order = np.floor(images).astype(int)
            np.testing.assert_array_equal(
                np.concatenate([labels for _, labels in contents]), order % 3
            )
            assert sorted(order[:23]) == list(range(23))
            np.testing.assert_array_equal(order[23:], order[: len(order) - 23])
            orders.append(order.tolist())
            noises |= set((images - order)[:23].tolist())
        assert orders[0] != orders[1] != orders[2] != orders[0]
    assert len(noises) > 0.97 * 2 * 3 * 23  # augmented anew in each pass; float32 may coincide


def test_the_first_of_several_passes_is_that_of_an_epoch_of_one():
    one, three = (epoch_of(make(shuffle=True, repeats=n), 4)[0] for n in (1, 3))
    np.testing.assert_array_equal(three[:23], one)


@pytest.mark.parametrize("options", [{}, {"multiple": 4, "batch_size": 8, "part": (1, 2)}])
def test_batches_skipped_within_a_later_pass_leave_those_that_follow(options):
    batches = make(**{"batch_size": 5, "shuffle": True, "repeats": 3, **options})
    whole = [batches[i] for i in range(len(batches))]
    batches.set_epoch(0, len(whole) - 4)
    assert batches.num_batches == 4
    for i, (images, labels) in enumerate(whole[-4:]):
        np.testing.assert_array_equal(batches[i][0], images)
        np.testing.assert_array_equal(batches[i][1], labels)


def test_hosts_share_the_batches_of_all_passes():
    options = {"batch_size": 6, "multiple": 2, "shuffle": True, "repeats": 2}
    parts = [make(**options, part=(i, 2)) for i in range(2)]
    whole = make(**options)
    for i in range(len(whole)):
        shares = [part[i][0] for part in parts]
        np.testing.assert_array_equal(np.concatenate(shares), whole[i][0])


class Halves(Mixing):
    """Pixels become sums with a random number; it remembers nothing."""

    def __call__(self, samples, partners, rng):
        return samples[: len(partners)] + 1000 * samples[partners] + rng.random(), 0.25


@pytest.mark.parametrize("workers", [0, 3])
def test_mixed_samples_have_labels_and_partners_that_follow_from_the_batch(workers):
    options = {"shuffle": True, "repeats": 2, "seed": 4}
    mixed = make(workers=workers, mixing=Halves(), **options)
    plain = make(**options)
    for batches in (mixed, plain):
        batches.set_epoch(3)
    for i in range(len(plain)):
        (samples, labels), (alone, classes) = mixed[i], plain[i]
        rng = generator("mixing", 4, 3, i)
        partners = rng.permutation(len(classes))
        expected = alone + 1000 * alone[partners] + rng.random()
        np.testing.assert_array_equal(samples, expected)
        assert labels.dtype == np.float32
        columns = [classes, classes[partners], np.full(len(classes), 0.25)]
        np.testing.assert_array_equal(labels, np.transpose(columns))
    mixed.set_epoch(3, 4)
    np.testing.assert_array_equal(mixed[len(plain) - 5][0], samples)  # skipped batches change none


def test_hosts_share_mixed_batches():
    options = {"batch_size": 6, "multiple": 3, "shuffle": True, "mixing": Halves()}
    parts = [make(**options, part=(i, 3)) for i in range(3)]
    whole = make(**options)
    for i in range(len(whole)):
        for content in (0, 1):
            shares = np.concatenate([part[i][content] for part in parts])
            np.testing.assert_array_equal(shares, whole[i][content])


# CUB has 200 classes with 30 training images each, and 5,994 in all.
@pytest.mark.parametrize(("per_class", "steps"), [(1, 90), (2, 75), (5, 66), (15, 64)])
def test_steps_of_the_published_subsets_in_batches_of_96(per_class, steps):
    split = numbered_split(200 * per_class)
    passes = number_of_repeats(_CUB_CLASS_SIZE, per_class)
    assert len(Batches(split, noisy, 96, repeats=passes)) == steps
    assert len(Batches(numbered_split(5994), noisy, 96)) == 63


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize(("count", "missing"), [(23, 1), (24, 0), (21, 3), (1, 3)])
def test_the_last_batch_is_filled_up_from_the_start_of_the_order(count, missing, shuffle):
    batches = make(count, 8, shuffle=shuffle, seed=4, multiple=4)
    order = generator("order", 4, 2).permutation(count) if shuffle else np.arange(count)
    images, labels = epoch_of(batches, 2)
    expected = [*order, *(order[i % count] for i in range(missing))]
    np.testing.assert_array_equal(np.floor(images[:, 0, 0, 0]), expected)
    np.testing.assert_array_equal(labels, np.array(expected) % 3)


def test_epochs_and_seeds_differ_and_the_order_is_kept_without_shuffling():
    first, second = (epoch_of(make(shuffle=True), epoch)[0] for epoch in (0, 1))
    assert not np.array_equal(np.floor(first), np.floor(second))
    assert not np.array_equal(first, epoch_of(make(shuffle=True, seed=1), 0)[0])
    fixed = epoch_of(make(), 3)[0]
    np.testing.assert_array_equal(np.floor(fixed[:, 0, 0, 0]), np.arange(23))


def oversampled(**options):
    """Batches of 2, 7 and 3 images of three classes."""
    labels = np.array([1, 0, 1, 2, 1, 1, 0, 2, 1, 1, 2, 1])
    images = np.broadcast_to(np.arange(12, dtype=np.uint8)[:, None, None, None], (12, 2, 2, 1))
    split = Split.whole(images, labels, map(str, range(12)))
    return Batches(split, noisy, 4, shuffle=True, oversample=True, **options), labels


@pytest.mark.parametrize("repeats", [1, 2])
def test_every_class_is_drawn_as_often_as_the_largest(repeats):
    batches, labels = oversampled(repeats=repeats, seed=3)
    assert (batches.per_pass, len(batches)) == (21, 6 * repeats)
    for epoch in (0, 1):
        images, seen = epoch_of(batches, epoch)
        positions = np.floor(images[:, 0, 0, 0]).astype(int)
        np.testing.assert_array_equal(labels[positions], seen)
        for drawn in np.split(positions, repeats):
            times = np.bincount(drawn, minlength=12)
            assert np.bincount(labels, weights=times).tolist() == [7, 7, 7]
            for label, (least, most) in enumerate([(3, 4), (1, 1), (2, 3)]):
                assert {*times[labels == label].tolist()} == {least, most}
        # Copies of an image are augmented differently.
        assert len(np.unique(images.reshape(len(images), -1), axis=0)) == 21 * repeats


def test_draws_depend_on_seed_and_epoch_only():
    one, _ = oversampled(seed=3, workers=0)
    other, _ = oversampled(seed=3, workers=4)
    for epoch in (4, 0):
        for mine, yours in zip(epoch_of(one, epoch), epoch_of(other, epoch), strict=True):
            np.testing.assert_array_equal(mine, yours)
    again = epoch_of(one, 1)[0]
    assert not np.array_equal(again, epoch_of(other, 0)[0])
    assert not np.array_equal(again, epoch_of(oversampled(seed=4)[0], 1)[0])
    halves = [oversampled(seed=3, multiple=2, part=(i, 2))[0] for i in (0, 1)]
    whole, _ = oversampled(seed=3, multiple=2)
    for index in range(len(whole)):
        shares = [half[index][0] for half in halves]
        np.testing.assert_array_equal(np.concatenate(shares), whole[index][0])


def test_types_and_shapes():
    split = numbered_split(7)
    batches = Batches(split, lambda image, rng: image, 4)
    images, labels = batches[1]
    assert images.shape == (3, 2, 2, 1)
    assert images.dtype == np.uint8
    assert labels.shape == (3,)
    assert labels.dtype == np.int32
    _, (first, second) = Batches(split, lambda image, rng: image, 4, num_outputs=2)[1]
    assert first.tolist() == second.tolist() == labels.tolist()
    with pytest.raises(IndexError):
        batches[2]


def test_batches_are_prepared_ahead_by_several_threads_and_not_further():
    meeting = threading.Barrier(3)
    prepared = []

    def prepare(image, rng):
        meeting.wait(timeout=20)  # passes only when three threads are here at a time
        prepared.append(int(image[0, 0, 0]))
        return image

    batches = Batches(numbered_split(9), prepare, 1, workers=3, max_queue_size=2)
    batches[0]
    time.sleep(0.1)
    assert sorted(prepared) == [0, 1, 2]


@pytest.mark.parametrize("told", [True, False])
def test_leaving_an_epoch_early_leaves_nothing_behind(told):
    batches = make(workers=2, shuffle=True)
    batches[0]
    batches[1]
    if told:
        batches.on_epoch_end()
    images, _ = epoch_of(batches, 1)
    np.testing.assert_array_equal(images, epoch_of(make(workers=0, shuffle=True), 1)[0])


def test_image_files_give_the_same_batches_with_any_number_of_workers(tmp_path):
    dataset = get_dataset("CUB", write_cub(tmp_path), target_size=24, crop_size=17)

    def content(workers):
        batches = Batches(dataset.train, dataset.preprocessing.train, 3, seed=2, workers=workers)
        try:
            return [epoch_of(batches, epoch)[0] for epoch in range(2)]
        finally:
            batches.close()

    one = content(1)
    assert not np.array_equal(*one)
    for workers in (0, 2, 8):
        np.testing.assert_array_equal(content(workers), one)


def tiny_model():
    model = keras.Sequential(
        [keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)]
    )
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def check_fit(workers):
    """Fit epochs 2 to 4 and compare the batches that the model saw with the expected ones."""
    seen = []

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")

        def call(self, images):
            return self.dense(keras.ops.reshape(images, (-1, 4)))

    # With a linear loss the gradient is the mean image of the batch, and the optimizer adds it
    # to the weights: their steps show exactly what each batch held.
    class Watch(keras.callbacks.Callback):
        before = np.zeros((4, 1), np.float32)

        def on_train_batch_end(self, batch, logs=None):
            after = keras.ops.convert_to_numpy(self.model.dense.kernel + 0.0)
            seen.append((after - self.before).ravel())
            self.before = after

    def negative_mean(targets, outputs):
        return -keras.ops.mean(outputs)

    batches = make(count=12, batch_size=4, seed=9, shuffle=True, workers=workers)
    validation = make(count=8, batch_size=4, seed=1, workers=workers)
    model = Model()
    model.compile(keras.optimizers.SGD(1.0), negative_mean)
    model.fit(
        batches,
        validation_data=validation,
        initial_epoch=2,
        epochs=5,
        verbose=0,
        shuffle=False,
        callbacks=[SetEpoch(batches), Watch()],
    )
    expected = []
    for epoch in (2, 3, 4):
        images, _ = epoch_of(make(count=12, seed=9, shuffle=True, workers=0), epoch)
        expected.extend(images.reshape(3, 4, 4).mean(axis=1))
    np.testing.assert_allclose(seen, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("workers", [0, 1, 8])
def test_fit_sees_every_sample_once_per_epoch(workers):
    check_fit(workers)


@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_fit_sees_the_same_under_every_backend(backend):
    if keras.backend.backend() == backend:
        pytest.skip("this is the backend of the other tests")
    if importlib.util.find_spec(backend) is None:
        pytest.skip(f"{backend} is not installed")
    code = "from tests.datasets.test_batches import check_fit\nfor workers in (0, 1, 8):"
    environment = {**os.environ, "KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    done = subprocess.run(
        [sys.executable, "-c", code + " check_fit(workers)"],
        cwd=REPOSITORY,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("workers", [0, 1, 8])
def test_a_damaged_image_ends_fit_and_is_remembered(tmp_path, workers):
    root = write_cub(tmp_path)
    dataset = get_dataset("CUB", root, target_size=9, crop_size=2)
    (root / dataset.train.names[9]).write_bytes(b"nothing")
    gray = dataset.preprocessing.test
    batches = Batches(dataset.train, lambda image, rng: gray(image)[..., :1], 2, workers=workers)
    model = tiny_model()
    with pytest.raises(Exception, match=Path(dataset.train.names[9]).stem):
        model.fit(batches, epochs=2, verbose=0, shuffle=False, callbacks=[SetEpoch(batches)])
    assert isinstance(batches.error, UserError)
    assert dataset.train.names[9] in str(batches.error)


def test_the_first_error_is_the_one_remembered():
    def fail(image, rng):
        raise ValueError(int(image[0, 0, 0]))

    batches = Batches(numbered_split(6), fail, 2, workers=2)
    assert batches.error is None
    for index in (1, 0):
        with pytest.raises(ValueError, match=str(2 * index)):
            batches[index]
    assert batches.error.args == (2,)


@pytest.mark.parametrize("parts", [1, 2, 4])
def test_parts_are_consecutive_shares_of_each_batch(parts):
    whole = make(batch_size=8, seed=2, shuffle=True, multiple=4)
    shares = [
        make(batch_size=8, seed=2, shuffle=True, multiple=4, part=(i, parts)) for i in range(parts)
    ]
    for each in (whole, *shares):
        each.set_epoch(3)
    for index in range(len(whole)):
        images, labels = zip(*(share[index] for share in shares), strict=True)
        assert len({len(each) for each in images}) == 1
        np.testing.assert_array_equal(np.concatenate(images), whole[index][0])
        np.testing.assert_array_equal(np.concatenate(labels), whole[index][1])
