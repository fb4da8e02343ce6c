"""RandAugment (Cubuk et al., https://arxiv.org/abs/1909.13719) and color jitter.

Constants are those of the code published with EfficientNet, models/official/efficientnet in
https://github.com/tensorflow/tpu, and of https://github.com/huggingface/pytorch-image-models.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from PIL.Image import Resampling

from datasets.images.pixels import operations as ops

GRAY = 128  # value of uncovered pixels
_MAX_LEVEL = 10  # magnitude at which the constants below apply


class Change(NamedTuple):
    """An operation with its drawn arguments."""

    function: Callable[..., None]  # a function of ``operations``
    arguments: tuple[float, ...]
    options: dict[str, object]

    def __call__(self, image: np.ndarray) -> None:
        self.function(image, *self.arguments, **self.options)


class Operation(NamedTuple):
    """An operation and its strength.

    Attributes:
        function: a function of ``operations``.
        strength: its argument as a function of the magnitude divided by 10; None: no argument.
        signed: whether the argument is negated with probability 0.5.
        relative: index of the axis, 0 height and 1 width, that the argument is a fraction of.
        uncovers: whether it takes the argument ``fill``.
        placed: whether row and column of a random pixel follow the strength.
    """

    function: Callable[..., None]
    strength: Callable[[float], float] | None = None
    signed: bool = False
    relative: int | None = None
    uncovers: bool = False
    placed: bool = False


def _enhance(m: float) -> float:
    return m * 1.8 + 0.1


def _moving(function: Callable, most: float, relative: int | None = None) -> Operation:
    return Operation(function, lambda m: m * most, True, relative, True)


_COMMON = {
    "AutoContrast": Operation(ops.autocontrast),
    "Equalize": Operation(ops.equalize),
    "Invert": Operation(ops.invert),
    "Rotate": _moving(ops.rotate, 30),  # degrees
    "Posterize": Operation(ops.posterize, lambda m: min(int(m * 4), 8)),  # bits
    "Solarize": Operation(ops.solarize, lambda m: int(m * 256)),
    "SolarizeAdd": Operation(ops.solarize_add, lambda m: int(m * 110)),
    "Color": Operation(ops.color, _enhance),
    "Contrast": Operation(ops.contrast, _enhance),
    "Brightness": Operation(ops.brightness, _enhance),
    "Sharpness": Operation(ops.sharpness, _enhance),
    "ShearX": _moving(ops.shear_x, 0.3),
    "ShearY": _moving(ops.shear_y, 0.3),
}
ORIGINAL = {
    **_COMMON,
    # 0 bits keep one: TensorFlow shifts by 7 bits at most.
    "Posterize": Operation(ops.posterize, lambda m: min(max(int(m * 4), 1), 8)),
    "TranslateX": _moving(ops.translate_x, 100),  # pixels
    "TranslateY": _moving(ops.translate_y, 100),
    "Cutout": Operation(ops.cutout, lambda m: int(m * 40), uncovers=True, placed=True),
}
TIMM = {
    **_COMMON,
    "TranslateXRel": _moving(ops.translate_x, 0.45, 1),
    "TranslateYRel": _moving(ops.translate_y, 0.45, 0),
}


class Variant(NamedTuple):
    """Settings in which implementations of RandAugment differ."""

    operations: dict[str, Operation]
    probability: float  # probability of applying a drawn operation
    resampling: tuple[Resampling, ...]  # interpolations, one of which is drawn; empty: nearest
    mean_fill: bool  # whether uncovered pixels get the mean color of the data set


VARIANTS = {
    "original": Variant(ORIGINAL, 1.0, (), False),
    "timm": Variant(TIMM, 0.5, (Resampling.BILINEAR, Resampling.BICUBIC), True),
}


@dataclass(frozen=True)
class RandAugment:
    """Random operations for each image, all of the same magnitude."""

    count: int  # number of operations, drawn with replacement
    magnitude: float  # from 0; the constants are intended for up to 10
    variant: str = "original"  # a key of ``VARIANTS``
    fill: tuple[int, ...] | None = None  # color of uncovered pixels; None: gray

    def with_mean(self, mean: tuple[float, ...]) -> "RandAugment":
        """Return it with the mean color of the data set as fill, if the variant uses that."""
        if not VARIANTS[self.variant].mean_fill:
            return self
        return replace(self, fill=tuple(round(level) for level in mean))

    def draw(self, shape: tuple[int, int, int], rng: np.random.Generator) -> list[Change]:
        """Draw the changes to an image (height, width, channels)."""
        known, probability, resampling, _ = VARIANTS[self.variant]
        operations = tuple(known.values())
        changes = []
        for index in rng.integers(len(operations), size=self.count).tolist():
            if probability == 1 or rng.random() < probability:
                changes.append(self._drawn(operations[index], shape, resampling, rng))
        return changes

    def _drawn(
        self,
        operation: Operation,
        shape: tuple[int, int, int],
        resampling: Sequence[Resampling],
        rng: np.random.Generator,
    ) -> Change:
        arguments = []
        if operation.strength:
            value = operation.strength(self.magnitude / _MAX_LEVEL)
            if operation.signed and rng.random() < 0.5:
                value = -value
            if operation.relative is not None:
                value *= shape[operation.relative]
            arguments.append(value)
        if operation.placed:
            arguments += [int(rng.integers(side)) for side in shape[:2]]
        options = {"fill": self.fill or (GRAY,) * shape[2]} if operation.uncovers else {}
        if operation.uncovers and resampling:
            options["resampling"] = resampling[rng.integers(len(resampling))]
        return Change(operation.function, tuple(arguments), options)


_JITTERED = (ops.brightness, ops.contrast, ops.color)


def draw_jitter(strength: float, rng: np.random.Generator) -> list[Change]:
    """Draw factors for brightness, contrast and color, uniformly around 1, in random order."""
    low, high = max(0.0, 1 - strength), 1 + strength
    shares, places = rng.random((2, len(_JITTERED))).tolist()  # one call: it takes half the time
    order = sorted(range(len(_JITTERED)), key=places.__getitem__)
    return [Change(_JITTERED[i], (low + (high - low) * shares[i],), {}) for i in order]
