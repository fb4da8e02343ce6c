"""Moving averages taken anew, and a training that fails."""

from contextlib import closing

import keras
import numpy as np

from benchmarks import batch_statistics
from datasets.base import Split
from datasets.batches import Batches
from tests.commands.running import run


def test_averages_are_the_means_over_all_batches_and_the_weights_stay():
    samples = np.random.default_rng(0).normal(3, 2, (12, 4)).astype("float32")
    model = keras.Sequential(
        [keras.layers.Input((4,)), keras.layers.Dense(5), keras.layers.BatchNormalization()]
    )
    kernel = model.layers[0].get_weights()
    split = Split.whole(samples, np.zeros(12, np.int64), "abcdefghijkl")
    batches = Batches(split, lambda sample, rng: sample, 4, seed=1, shuffle=True, workers=0)
    with closing(batches):
        batch_statistics.take_anew(model, batches, range(3, 5))
        means, variances = [], []
        for epoch in (3, 4):
            batches.set_epoch(epoch)
            for i in range(3):
                outputs = batches[i][0] @ kernel[0] + kernel[1]
                means.append(outputs.mean(axis=0))
                variances.append(outputs.var(axis=0))

    *_, mean, variance = model.layers[1].get_weights()
    np.testing.assert_allclose(mean, np.mean(means, axis=0), rtol=1e-5)
    np.testing.assert_allclose(variance, np.mean(variances, axis=0), rtol=1e-5)
    for before, after in zip(kernel, model.layers[0].get_weights(), strict=True):
        np.testing.assert_array_equal(before, after)


def test_a_failing_training_is_reported_and_leaves_no_file(tmp_path):
    options = ["--dataset", "Folder", "--data_root", str(tmp_path / "nowhere"), "--epochs", "1"]
    output = tmp_path / "f.json"
    outcome = run(
        *(batch_statistics, "--output", output, "learn_classifier.py", "--", *options),
    )
    assert outcome.status == 1 and not output.exists()
    assert outcome.err.splitlines()[-1].endswith("learn_classifier.py ended with status 1")
