"""Operations are timed and sorted into kinds."""

import numpy as np
import pytest
import tensorflow as tf

from benchmarks.step_profile import OTHERS, by_kind, trace_tensorflow


def test_operations_of_tensorflow_are_timed():
    images = tf.constant(np.ones((4, 32, 32, 8), np.float32))
    kernel = tf.constant(np.ones((3, 3, 8, 8), np.float32))

    @tf.function
    def step():
        return tf.nn.relu(tf.nn.conv2d(images, kernel, 1, "SAME"))

    step()
    found = trace_tensorflow(lambda: [step() for _ in range(20)])
    kinds = by_kind(found)
    assert kinds["convolutions"] > 0
    assert sum(kinds.values()) == pytest.approx(sum(found.values()))
    assert not any(":" in name for name in found)


@pytest.mark.parametrize(
    ("operation", "kind"),
    [
        ("_MklNativeConv2DBackpropFilterWithBias", "convolutions, gradient of the kernels"),
        ("Conv2DBackpropInput", "convolutions, gradient of the maps"),
        ("aten::convolution_backward", "convolutions, all gradients"),
        ("aten::_slow_conv2d_backward", "convolutions, all gradients"),
        ("aten::_slow_conv2d_forward", "convolutions"),
        ("_MklNativeConv2DWithBias", "convolutions"),
        ("aten::mkldnn_convolution", "convolutions"),
        ("FusedBatchNormGradV3", "batch normalization, gradient"),
        ("aten::native_batch_norm", "batch normalization"),
        ("ReluGrad", "ReLU, gradient"),
        ("aten::clamp_min", "ReLU"),
        ("AddV2", "sums of maps"),
        ("ResourceApplyKerasMomentum", "norm, penalty and update of the weights"),
        ("aten::copy_", "copies and changes of order"),
        ("ReadVariableOp", OTHERS),
    ],
)
def test_kinds(operation, kind):
    assert by_kind({operation: 0.5}) == {kind: 0.5}
