"""NASNet-A (6 @ 4032), whose normal and reduction cells were found by architecture search.

Source: Zoph et al., Learning Transferable Architectures for Scalable Image Recognition (CVPR
2018), https://arxiv.org/abs/1707.07012; layers as in ``keras.applications.NASNetLarge``, which
takes images of one size only.
"""

from typing import NamedTuple

from keras import KerasTensor, layers

from models.backbones.automatic_names import AutomaticNames
from models.layers.batch_normalization import batch_normalization
from models.layers.convolution import conv2d
from models.layers.outputs import average_pool, output_layer
from models.registry import BACKBONES

STEM_CHANNELS = 96
CHANNELS = 168
REPEATS = 6


@BACKBONES.register("nasnet-a")
def nasnet(x: KerasTensor, num_outputs: int | None, classifier: bool) -> KerasTensor:
    """Build two reduction cells, then three stages of six normal cells, joined by reduction cells.

    Every cell takes the outputs of the previous two. Height and width of the images must be
    multiples of 32, for which strided layers are padded.
    """
    names = AutomaticNames()
    x = conv2d(
        STEM_CHANNELS, 3, 2, use_bias=False, kernel_initializer="he_normal", name="stem_conv1"
    )(x)
    previous = x = _normalize(x, "stem_bn1")
    for number in (1, 2):
        cell = Cell(f"stem_{number}", CHANNELS * number // 4, names)
        x, previous = cell.reduction(x, previous), x
    for stage in range(3):
        if stage > 0:
            # Unlike that of all other cells, its input is not an input of the next cell.
            x = Cell(f"reduce_{REPEATS * stage}", CHANNELS << stage, names).reduction(x, previous)
        for index in range(REPEATS):
            cell = Cell(f"{(REPEATS + 1) * stage - (stage > 1) + index}", CHANNELS << stage, names)
            x, previous = cell.normal(x, previous), x
    x = layers.Activation("relu", name=names("activation"))(x)
    x = average_pool(x, names("global_average_pooling2d"))
    return output_layer(x, num_outputs, classifier)


class Cell(NamedTuple):
    """A cell of the network."""

    label: str  # suffix of its layer names
    channels: int  # output channels of each of its convolutions
    names: AutomaticNames  # for layers that had no explicit name in Keras 2

    def normal(self, x: KerasTensor, previous: KerasTensor) -> KerasTensor:
        """Build a normal cell, which keeps height and width (Figure 4, left)."""
        p = self._adjusted(previous)
        h = self._squeezed(x, "normal")
        sums = (
            (self._separable(h, 5, "normal_left1"), self._separable(p, 3, "normal_right1")),
            (self._separable(p, 5, "normal_left2"), self._separable(p, 3, "normal_right2")),
            (self._average(h, "normal_left3"), p),
            (self._average(p, "normal_left4"), self._average(p, "normal_right4")),
            (self._separable(h, 3, "normal_left5"), h),
        )
        added = [self._add(f"normal_add_{i}", *pair) for i, pair in enumerate(sums, start=1)]
        return layers.Concatenate(name=self._name("normal_concat"))([p, *added])

    def reduction(self, x: KerasTensor, previous: KerasTensor) -> KerasTensor:
        """Build a reduction cell, which halves height and width (Figure 4, right)."""
        p = self._adjusted(previous)
        h = self._squeezed(x, "reduction")
        padded = self._padded(h, 3, "reduction_pad_1")
        left = self._separable(h, 5, "reduction_left1", stride=2)
        right = self._separable(p, 7, "reduction_right1", stride=2)
        one = self._add("reduction_add_1", left, right)
        left = self._maximum(padded, "reduction_left2")
        right = self._separable(p, 7, "reduction_right2", stride=2)
        two = self._add("reduction_add_2", left, right)
        left = self._average(padded, "reduction_left3", stride=2)
        right = self._separable(p, 5, "reduction_right3", stride=2)
        three = self._add("reduction_add3", left, right)
        four = layers.Add(name=self.names("add"))([two, self._average(one, "reduction_left4")])
        left = self._separable(one, 3, "reduction_left4")
        right = self._maximum(padded, "reduction_right5")
        five = self._add("reduction_add4", left, right)
        return layers.Concatenate(name=self._name("reduction_concat"))([two, three, four, five])

    def _adjusted(self, p: KerasTensor) -> KerasTensor:
        """Bring the output of the second-to-last cell to this cell's map size and channels."""
        if self.label == "stem_1":
            return p
        if self.label in ("stem_2", "0", "7", "13"):  # follow a reduction cell
            return self._halved(p)
        p = self._convolution(self._relu(p), self.channels, "adjust_conv_projection")
        return _normalize(p, self._name("adjust_bn"))

    def _halved(self, p: KerasTensor) -> KerasTensor:
        """Halve the map: concatenate every second pixel and its lower right neighbor."""
        p = layers.Activation("relu", name=self._name("adjust_relu_1"))(p)
        shifted = layers.ZeroPadding2D(
            ((0, 1), (0, 1)), data_format="channels_last", name=self.names("zero_padding2d")
        )(p)
        shifted = layers.Cropping2D(
            ((1, 0), (1, 0)), data_format="channels_last", name=self.names("cropping2d")
        )(shifted)
        halves = []
        for number, pixels in enumerate((p, shifted), start=1):
            half = layers.AveragePooling2D(
                1, 2, data_format="channels_last", name=self._name(f"adjust_avg_pool_{number}")
            )(pixels)
            halves.append(self._convolution(half, self.channels // 2, f"adjust_conv_{number}"))
        p = layers.Concatenate(name=self.names("concatenate"))(halves)
        return _normalize(p, self._name("adjust_bn"))

    def _squeezed(self, x: KerasTensor, kind: str) -> KerasTensor:
        x = self._convolution(self._relu(x), self.channels, f"{kind}_conv_1")
        return _normalize(x, self._name(f"{kind}_bn_1"))

    def _separable(self, x: KerasTensor, size: int, part: str, stride: int = 1) -> KerasTensor:
        """Apply ReLU, separable convolution and batch normalization, twice."""
        for number in (1, 2):
            x = self._relu(x)
            if stride > 1:
                x = self._padded(x, size, f"separable_conv_{number}_pad_{part}")
            x = layers.SeparableConv2D(
                self.channels,
                size,
                stride,
                padding="same" if stride == 1 else "valid",
                data_format="channels_last",
                use_bias=False,
                name=self._name(f"separable_conv_{number}_{part}"),
            )(x)
            x = _normalize(x, self._name(f"separable_conv_{number}_bn_{part}"))
            stride = 1
        return x

    def _padded(self, x: KerasTensor, size: int, part: str) -> KerasTensor:
        """Zero-pad maps for a strided layer like "same", but for pooling, too.

        Height and width of the maps are odd in the first cell and even in all others.
        """
        after = size // 2
        before = after if self.label == "stem_1" else after - 1
        pads = ((before, after), (before, after))
        return layers.ZeroPadding2D(pads, data_format="channels_last", name=self._name(part))(x)

    def _convolution(self, x: KerasTensor, channels: int, part: str) -> KerasTensor:
        return conv2d(
            channels,
            1,
            padding="same",
            use_bias=False,
            kernel_initializer="he_normal",
            name=self._name(part),
        )(x)

    def _average(self, x: KerasTensor, part: str, stride: int = 1) -> KerasTensor:
        padding = "same" if stride == 1 else "valid"
        return layers.AveragePooling2D(
            3, stride, padding, data_format="channels_last", name=self._name(part)
        )(x)

    def _maximum(self, x: KerasTensor, part: str) -> KerasTensor:
        return layers.MaxPooling2D(3, 2, data_format="channels_last", name=self._name(part))(x)

    def _relu(self, x: KerasTensor) -> KerasTensor:
        return layers.Activation("relu", name=self.names("activation"))(x)

    def _add(self, part: str, *pair: KerasTensor) -> KerasTensor:
        return layers.Add(name=self._name(part))(list(pair))

    def _name(self, part: str) -> str:
        return f"{part}_{self.label}"


def _normalize(x: KerasTensor, name: str) -> KerasTensor:
    return batch_normalization(name, momentum=0.9997, epsilon=1e-3)(x)
