"""ResNet-50 with its published ImageNet weights against a NumPy implementation of its own.

Needs the weights of keras.applications as a Keras 2 file:
    RESNET50_H5=resnet50_weights_tf_dim_ordering_tf_kernels.h5 python -m pytest tests/models
"""

import os

import h5py
import keras
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

import models
from models.files.saved import load_weights

pytestmark = pytest.mark.skipif(
    "RESNET50_H5" not in os.environ, reason="RESNET50_H5 names no file with ImageNet weights"
)

CAFFE_MEAN = [123.68, 116.779, 103.939]


class Reference:
    """The network as He et al. describe it, in float64, from the arrays in the file."""

    def __init__(self, file):
        self.file = file

    def weights(self, layer):
        group = self.file[layer]
        return [np.asarray(group[name], np.float64) for name in group.attrs["weight_names"]]

    def conv(self, x, layer, norm, stride=1, pad=0):
        kernel, bias = self.weights(layer)
        x = np.pad(x, ((pad, pad), (pad, pad), (0, 0)))
        windows = sliding_window_view(x, kernel.shape[:2], axis=(0, 1))[::stride, ::stride]
        y = np.einsum("yxcij,ijcd->yxd", windows, kernel, optimize=True) + bias
        gamma, beta, mean, variance = self.weights(norm)
        return (y - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def block(self, x, label, stride):
        def branch(x, part, stride=1, pad=0):
            name = f"{label}_branch{part}"
            return self.conv(x, f"res{name}", f"bn{name}", stride, pad)

        y = np.maximum(branch(x, "2a", stride), 0)
        y = branch(np.maximum(branch(y, "2b", pad=1), 0), "2c")
        return np.maximum(y + (branch(x, "1", stride) if label.endswith("a") else x), 0)

    def features(self, image):
        x = (image.astype(np.float64) - CAFFE_MEAN)[..., ::-1]
        x = np.maximum(self.conv(x, "conv1", "bn_conv1", stride=2, pad=3), 0)
        x = np.pad(x, ((1, 1), (1, 1), (0, 0)))
        x = sliding_window_view(x, (3, 3), axis=(0, 1))[::2, ::2].max(axis=(3, 4))
        for stage, letters in zip("2345", ["abc", "abcd", "abcdef", "abc"], strict=True):
            for letter in letters:
                x = self.block(x, stage + letter, 2 if letter == "a" and stage != "2" else 1)
        return x.mean(axis=(0, 1))


def test_features_are_those_of_the_reference():
    path = os.environ["RESNET50_H5"]
    model = models.build_backbone("resnet-50", 10, classifier=False, mean=CAFFE_MEAN, bgr=True)

    report = load_weights(model, path)

    assert report.missing == ["embedding"]
    assert report.mismatched == []
    image = np.random.default_rng(0).integers(0, 256, (96, 80, 3), np.uint8)
    features = keras.Model(model.input, model.get_layer("avg_pool").output)(image[None])
    with h5py.File(path) as file:
        expected = Reference(file).features(image)
    assert expected.max() > 0.5
    np.testing.assert_allclose(keras.ops.convert_to_numpy(features)[0], expected, atol=1e-4)
