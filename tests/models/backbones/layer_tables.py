"""Every layer of the published networks, written down from their descriptions alone.

A table is made without Keras: ``Table`` keeps the shapes, the functions below say which layers
there are. Where the published layer tables are at hand, they are compared with these.
"""

import math
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import keras

CLASSES = 100


class Row(NamedTuple):
    """A layer; text as in the published tables."""

    type: str
    weights: str = ""
    output: str = ""
    padding: str = ""
    strides: str = ""
    bias: str = ""
    initializer: str = ""
    l2: str = ""
    epsilon: str = ""
    momentum: str = ""


def times(*sizes):
    return "x".join(map(str, sizes))


class Table:
    """Rows by the name of the layer, in the order in which the layers were made.

    Args:
        side: pixels of the image.
        unnamed: whether layers without a name are numbered as Keras 2 did; otherwise left out.
    """

    def __init__(self, side: int, unnamed: bool = True):
        self.rows: dict[str, Row] = {}
        self.inputs: dict[str, list[str]] = {}
        self.shapes = {"image": (side, side, 3)}
        self._counts = Counter()
        self.unnamed = unnamed

    def channels(self, x: str) -> int:
        return self.shapes[x][-1]

    def put(self, x: str | list[str], kind: str, shape: tuple, name: str = "", **row) -> str:
        """Add a layer that takes the layers ``x``; return its name."""
        kept = name or self.unnamed
        if not name:
            snake = re.sub("(?<=[a-z])(?=[A-Z])", "_", kind).lower()
            self._counts[snake] += 1
            name = f"{snake}_{self._counts[snake]}"
        self.shapes[name] = shape
        if kept:
            self.inputs[name] = [x] if isinstance(x, str) else x
            self.rows[name] = Row(kind, output=times(*shape), **row)
        return name

    def same(self, x: str | list[str], kind: str, name: str = "", **row) -> str:
        """Add a layer that keeps the shape of its first input."""
        return self.put(x, kind, self.shapes[x if isinstance(x, str) else x[0]], name, **row)

    def conv(self, x, filters, size, stride=1, name="", *, bias, init, l2="", padding="same"):
        side, _, channels = self.shapes[x]
        side = math.ceil((side if padding == "same" else side - size + 1) / stride)
        kernel = times(size, size, channels, filters)
        return self.put(
            x,
            "Conv2D",
            (side, side, filters),
            name,
            weights=f"{kernel}|{filters}" if bias else kernel,
            padding=padding,
            strides=times(stride, stride),
            bias=str(int(bias)),
            initializer=init,
            l2=l2,
        )

    def norm(self, x, name="", *, epsilon, momentum="0.99"):
        weights = "|".join([str(self.channels(x))] * 4)
        row = {"weights": weights, "epsilon": epsilon, "momentum": momentum}
        return self.same(x, "BatchNormalization", name, **row)

    def pad(self, x, before, after, name):
        side, _, channels = self.shapes[x]
        side += before + after
        padding = str(((before, after), (before, after)))
        return self.put(x, "ZeroPadding2D", (side, side, channels), name, padding=padding)

    def pool(self, x, kind, size, stride, padding="valid", name=""):
        side, _, channels = self.shapes[x]
        side = math.ceil((side if padding == "same" else side - size + 1) / stride)
        strides = times(stride, stride)
        return self.put(x, kind, (side, side, channels), name, padding=padding, strides=strides)

    def concat(self, parts):
        side = self.shapes[parts[0]][0]
        channels = sum(self.channels(part) for part in parts)
        return self.put(parts, "Concatenate", (side, side, channels))

    def mean(self, x, name="avg_pool"):
        return self.put(x, "GlobalAveragePooling2D", (self.channels(x),), name)

    def dense(self, x, name, units=CLASSES, l2=""):
        row = {"weights": f"{self.channels(x)}x{units}|{units}", "bias": "1", "l2": l2}
        return self.put(x, "Dense", (units,), name, initializer="GlorotUniform", **row)


def densenet(growth, per_block, first, bottleneck, left):
    """Batch normalization and ReLU before every convolution but the first."""
    table = Table(32)

    def active(x):
        return table.same(table.norm(x, epsilon="1.1e-05"), "Activation")

    def conv(x, filters, size, l2=""):
        return table.conv(x, filters, size, bias=False, init="HeNormal", l2=l2)

    x = conv("image", first, 3, "1e-04")
    for block in (1, 2, 3):
        for _ in range(per_block):
            y = active(x)
            if bottleneck:
                y = active(conv(y, 4 * growth, 1, "1e-04"))
            x = table.concat([x, conv(y, growth, 3)])
        x = active(x)
        if block < 3:
            x = conv(x, math.floor(left * table.channels(x)), 1, "1e-04")
            x = table.pool(x, "AveragePooling2D", 2, 2)
    table.dense(table.mean(x, ""), "dense_1")
    return table


def pyramidnet(per_stage, widening, bottleneck):
    """Batch normalization at both ends of a block, none of the sums rectified."""
    table = Table(32)

    def norm(x, name=""):
        return table.norm(x, name, epsilon="0.001")

    def conv(x, filters, size, stride=1, name=""):
        style = {"bias": True, "init": "GlorotNormal", "l2": "2e-04"}
        padding = "same" if size == 3 else "valid"
        return table.conv(x, filters, size, stride, name, padding=padding, **style)

    x = norm(conv("image", 16, 3, 1, "conv0"), "bn0")
    for block in range(3 * per_stage):
        width = round(16 + widening * (block + 1) / (3 * per_stage))
        stride = 2 if block in (per_stage, 2 * per_stage) else 1
        sizes = [(1, width, 1), (3, width, stride), (1, 4 * width, 1)]
        if not bottleneck:
            sizes = [(3, width, stride), (3, width, 1)]
        y = norm(x)
        for i, (size, filters, step) in enumerate(sizes):
            if i > 0:
                y = table.same(y, "Activation")
            y = norm(conv(y, filters, size, step))
        if stride == 2:
            # "valid" in the published table, which is the same for even sizes.
            x = table.pool(x, "AveragePooling2D", 2, 2, "same")
        missing = table.channels(y) - table.channels(x)
        if missing:
            row = {"padding": f"0/{missing}"}
            x = table.put(x, "ChannelPadding", table.shapes[y], **row)
        x = table.same([y, x], "Add")
    x = table.same(norm(x, "bn4"), "Activation", "act4")
    table.dense(table.mean(x), "prob", l2="2e-04")
    return table


def wide_resnet(per_unit, width):
    """The first block of a unit has no batch normalization before its convolutions."""
    table = Table(32)

    def active(x):
        return table.same(table.norm(x, epsilon="1e-05", momentum="0.1"), "Activation")

    def conv(x, filters, size=3, stride=1):
        return table.conv(x, filters, size, stride, bias=False, init="HeNormal")

    x = active(conv("image", 16))
    for filters, stride in ((16 * width, 1), (32 * width, 2), (64 * width, 2)):
        y = conv(active(conv(x, filters, 3, stride)), filters)
        x = table.same([y, conv(x, filters, 1, stride)], "Add")
        for _ in range(per_unit - 1):
            y = conv(active(conv(active(x), filters)), filters)
            x = table.same([x, y], "Add")
        x = active(x)
    table.dense(table.mean(x, ""), "prob")
    return table


def cifar_resnet(per_unit, widths):
    table = Table(32, unnamed=False)

    def conv(x, filters, name, stride=1):
        x = table.conv(
            x,
            filters,
            3,
            stride,
            f"{name[0]}{name[1]}",
            bias=True,
            init="GlorotUniform",
            l2="2e-04",
        )
        return table.norm(x, f"bn{name[1]}", epsilon="0.001")

    x = conv("image", widths[0], ("conv", "0"))
    for unit, filters in enumerate(widths, start=1):
        for block in range(1, per_unit + 1):
            stride = 2 if unit > 1 and block == 1 else 1
            x = conv(x, filters, ("res", f"{unit}-{block}x"), stride)
            x = conv(x, filters, ("res", f"{unit}-{block}y"))
    table.dense(table.mean(x), "prob", l2="2e-04")
    return table


def plain():
    """Rectified within the convolution, then normalized; pooling counts as a layer."""
    table, x = Table(32, unnamed=False), "image"
    for number, width in enumerate((64, 64, 0, 128, 128, 128, 0, 256, 256, 256, 0, 512), start=1):
        if width == 0:
            x = table.pool(x, "AveragePooling2D", 2, 2, name=f"ap{number}")
        else:
            style = {"bias": True, "init": "GlorotUniform", "l2": "5e-04"}
            x = table.conv(x, width, 3, 1, f"conv{number}", **style)
            x = table.norm(x, f"bn{number}", epsilon="0.001")
    x = table.norm(table.dense(table.mean(x), "fc14", 512, "5e-04"), "bn14", epsilon="0.001")
    table.dense(x, "prob")
    return table


class ResNetStyle(NamedTuple):
    """Differences between the three packages."""

    bias: bool
    epsilon: str
    first: str
    others: str
    padded: bool
    stem: tuple[str, str]
    conv: str
    norm: str
    branches: tuple[str, ...]
    ends: tuple[str, str] = ("avg_pool", "prob")


LETTERS = {"stem": ("conv1", "bn_conv1"), "conv": "res{}_branch{}", "norm": "bn{}_branch{}"}
KERAS_2 = ResNetStyle(
    True, "0.001", "HeNormal", "HeNormal", True, **LETTERS, branches=("1", "2a", "2b", "2c")
)
KERAS_RESNET = ResNetStyle(
    False, "1e-05", "GlorotUniform", "HeNormal", False, **LETTERS,
    branches=("1", "2a", "2b", "2c"), ends=("pool5", "fc1000"),
)  # fmt: skip
KERAS_APPLICATIONS = ResNetStyle(
    True, "1.001e-05", "GlorotUniform", "GlorotUniform", True, ("conv1_conv", "conv1_bn"),
    "{}_{}_conv", "{}_{}_bn", branches=("0", "1", "2", "3"),
)  # fmt: skip


def resnet(style, counts, names, wide=True):
    """Bottlenecks, whose stride is in the first 1x1 convolution, or pairs of 3x3 convolutions.

    Args:
        style: of the package.
        counts: blocks per stage.
        names: of a block, a function of the stage and the index.
        wide: whether blocks are bottlenecks.
    """
    table = Table(64, unnamed=False)

    def conv(x, filters, size, stride, names, init, padding):
        style_ = {"bias": style.bias, "init": init, "padding": padding}
        return table.norm(
            table.conv(x, filters, size, stride, names[0], **style_),
            names[1],
            epsilon=style.epsilon,
        )

    def inner(x, filters, size, stride, label, branch):
        names = (style.conv.format(label, branch), style.norm.format(label, branch))
        padding = "same" if size == 3 and stride == 1 else "valid"
        if size == 3 and stride > 1:
            x = table.pad(x, 1, 1, "")
        return conv(x, filters, size, stride, names, style.others, padding)

    padding = "valid" if style.padded else "same"
    x = table.pad("image", 3, 3, "conv1_pad") if style.padded else "image"
    x = conv(x, 64, 7, 2, style.stem, style.first, padding)
    x = table.pad(x, 1, 1, "pool1_pad") if style.padded else x
    x = table.pool(x, "MaxPooling2D", 3, 2, padding, "pool1")
    shortcut, *branches = style.branches
    for stage, count in enumerate(counts, start=2):
        filters = 2 ** (stage + 4)
        for index in range(count):
            label, stride = names(stage, index), 2 if stage > 2 and index == 0 else 1
            sizes = [(1, filters), (3, filters), (1, 4 * filters)]
            if not wide:
                sizes = [(3, filters), (3, filters)]
            start, step = x, stride
            for branch, (size, width) in zip(branches, sizes, strict=False):
                x, step = inner(x, width, size, step, label, branch), 1
            if index == 0:
                inner(start, sizes[-1][1], 1, stride, label, shortcut)
    pool, output = style.ends
    table.dense(table.mean(x, pool), output)
    return table


def letters(stage: int, index: int) -> str:
    return f"{stage}{'abcdefgh'[index]}"


def numbers(stage: int, index: int) -> str:
    return f"{stage}a" if index == 0 else f"{stage}b{index}"


def letters_and_numbers(stage: int, index: int) -> str:
    return letters(stage, index) if stage in (2, 5) else numbers(stage, index)


def words(stage: int, index: int) -> str:
    return f"conv{stage}_block{index + 1}"


TABLES: dict[str, Callable[[], Table]] = {
    "simple": plain,
    **{
        f"{name}{suffix}": lambda n=n, widths=widths: cifar_resnet(n, widths)
        for suffix in ("", "-selu")
        for name, n, widths in (
            ("resnet-32", 5, (16, 32, 64)),
            ("resnet-110", 18, (16, 32, 64)),
            ("resnet-110-fc", 18, (16, 32, 64)),
            ("resnet-110-wfc", 18, (32, 64, 128)),
        )
    },
    "wrn-28-10": lambda: wide_resnet(4, 10),
    "densenet-100-12": lambda: densenet(12, 32, 16, False, 1),
    "densenet-100-24": lambda: densenet(24, 32, 16, False, 1),
    "densenet-bc-190-40": lambda: densenet(40, 31, 80, True, 0.5),
    "pyramidnet-272-200": lambda: pyramidnet(30, 200, True),
    "pyramidnet-110-270": lambda: pyramidnet(18, 270, False),
    "resnet-50": lambda: resnet(KERAS_2, (3, 4, 6, 3), letters),
    "resnet-101": lambda: resnet(KERAS_APPLICATIONS, (3, 4, 23, 3), words),
    "resnet-152": lambda: resnet(KERAS_APPLICATIONS, (3, 8, 36, 3), words),
    "rn18": lambda: resnet(KERAS_RESNET, (2, 2, 2, 2), numbers, wide=False),
    "rn34": lambda: resnet(KERAS_RESNET, (3, 4, 6, 3), numbers, wide=False),
    "rn50": lambda: resnet(KERAS_RESNET, (3, 4, 6, 3), letters),
    "rn101": lambda: resnet(KERAS_RESNET, (3, 4, 23, 3), letters_and_numbers),
    "rn152": lambda: resnet(KERAS_RESNET, (3, 8, 36, 3), letters_and_numbers),
    "rn200": lambda: resnet(KERAS_RESNET, (3, 24, 36, 3), letters_and_numbers),
}


def layers_of(model: keras.Model, side: int) -> tuple[dict[str, Row], dict[str, list[str]]]:
    """List the rows of a network, as above, and the inputs of each layer."""
    rows, inputs, shapes = {}, {}, {model.layers[0].name: (1, side, side, 3)}
    for layer in model.layers[1:]:
        inputs[layer.name] = [t._keras_history.operation.name for t in _inputs(layer)]
        given = [shapes[name] for name in inputs[layer.name]]
        shapes[layer.name] = layer.compute_output_shape(given if len(given) > 1 else given[0])
        kind, padding = getattr(layer, "plain", type(layer)).__name__, str(_get(layer, "padding"))
        if kind == "ZeroPadding2D" and layer.data_format == "channels_first":
            _, (before, after) = layer.padding
            kind, padding = "ChannelPadding", f"{before}/{after}"
        regularizer = _get(layer, "kernel_regularizer")
        rows[layer.name] = Row(
            kind,
            "|".join(times(*weight.shape) for weight in layer.weights),
            times(*shapes[layer.name][1:]),
            padding,
            times(*_get(layer, "strides")),
            str(_get(layer, "use_bias")).replace("True", "1").replace("False", "0"),
            _class(_get(layer, "kernel_initializer") or _get(layer, "depthwise_initializer")),
            f"{float(regularizer.l2):.0e}" if regularizer else "",
            str(_get(layer, "epsilon")),
            str(_get(layer, "momentum")),
        )
    return rows, inputs


def _inputs(layer: keras.Layer) -> list:
    (node,) = layer._inbound_nodes
    return node.input_tensors


def _get(layer: keras.Layer, name: str) -> object:
    value = getattr(layer, name, "")
    return "" if value is None else value


def _class(value: object) -> str:
    return type(value).__name__ if value else ""
