"""The networks of the benchmark in plain PyTorch, and their training step.

Written as a user of PyTorch would: its own layers, channels last, autocast, and the L2 penalty as
the optimizer's ``weight_decay``. Layers have the names of those in ``models``, so that weights can
be copied.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

CIFAR_DECAY = 2e-4
EPSILON, MOMENTUM = 1e-3, 0.01
"""Of batch normalization; PyTorch's momentum is the share of the new batch."""


class Network(nn.Module):
    """Base class of the networks: layers by name; pixels 0..255 to logits.

    Args:
        mean: mean of all channels.
        std: standard deviation of all channels.
    """

    decay = 0.0
    bias, epsilon = True, EPSILON

    def __init__(self, mean: float = 120.0, std: float = 60.0):
        super().__init__()
        self.layers = nn.ModuleDict()
        self.mean, self.std = mean, std

    def forward(self, images: Tensor) -> Tensor:
        """Return logits (batch, classes) of images (batch, height, width, 3)."""
        # A view: in memory the channels are last already.
        x = images.permute(0, 3, 1, 2)
        return self.body((x.float() - self.mean) / self.std)

    def body(self, x: Tensor) -> Tensor:
        """Return logits of normalized images."""
        raise NotImplementedError

    def add(self, inputs: int, outputs: int, size: int, stride: int, name: str, norm: str) -> None:
        """Add a convolution and its batch normalization."""
        padding = size // 2 if stride == 1 else 0
        self.layers[name] = nn.Conv2d(inputs, outputs, size, stride, padding, bias=self.bias)
        self.layers[norm] = nn.BatchNorm2d(outputs, self.epsilon, MOMENTUM)

    def normalized(self, x: Tensor, name: str, norm: str) -> Tensor:
        """Apply a convolution and its batch normalization."""
        return self.layers[norm](self.layers[name](x))


class CifarResNet(Network):
    """resnet-110-wfc as a classifier, or resnet-32 with fewer blocks and channels."""

    decay = CIFAR_DECAY

    def __init__(self, classes: int, blocks: int = 18, channels: tuple[int, ...] = (32, 64, 128)):
        super().__init__()
        self.blocks, self.channels = blocks, channels
        self.add(3, channels[0], 3, 1, "conv0", "bn0")
        inputs = channels[0]
        for label, width, stride in self.plan():
            self.add(inputs, width, 3, stride, f"res{label}x", f"bn{label}x")
            self.add(width, width, 3, 1, f"res{label}y", f"bn{label}y")
            inputs = width
        self.layers["prob"] = nn.Linear(inputs, classes)

    def plan(self) -> list[tuple[str, int, int]]:
        """Return label, channels and stride of each block."""
        return [
            (f"{unit}-{block}", width, 2 if unit > 1 and block == 1 else 1)
            for unit, width in enumerate(self.channels, 1)
            for block in range(1, self.blocks + 1)
        ]

    def body(self, x: Tensor) -> Tensor:
        x = F.relu(self.normalized(x, "conv0", "bn0"))
        for label, width, stride in self.plan():
            # TensorFlow's "same": one pixel at the bottom and right, for images of an even size.
            y = F.pad(x, (0, 1, 0, 1)) if stride == 2 else x
            y = F.relu(self.normalized(y, f"res{label}x", f"bn{label}x"))
            y = self.normalized(y, f"res{label}y", f"bn{label}y")
            if stride == 2:
                more = (width - x.shape[1]) // 2
                x = F.pad(F.avg_pool2d(x, 2), (0, 0, 0, 0, more, more))
            x = F.relu(y + x)
        return self.layers["prob"](x.float().mean((2, 3)))


class ResNet50(Network):
    """resnet-50 as a classifier: stride in the first convolution of a stage, biases."""

    STAGES = ((64, 3), (128, 4), (256, 6), (512, 3))

    def __init__(self, classes: int):
        super().__init__()
        self.add(3, 64, 7, 2, "conv1", "bn_conv1")
        inputs = 64
        for label, width, stride, first in self.plan():
            self._branch(inputs, width, 1, stride, label, "2a")
            self._branch(width, width, 3, 1, label, "2b")
            self._branch(width, 4 * width, 1, 1, label, "2c")
            if first:
                self._branch(inputs, 4 * width, 1, stride, label, "1")
            inputs = 4 * width
        self.layers["prob"] = nn.Linear(inputs, classes)

    def plan(self) -> list[tuple[str, int, int, bool]]:
        """Return label, channels, stride of each block, and whether it begins a stage."""
        return [
            (f"{stage + 2}{chr(ord('a') + i)}", width, 2 if stage and i == 0 else 1, i == 0)
            for stage, (width, count) in enumerate(self.STAGES)
            for i in range(count)
        ]

    def body(self, x: Tensor) -> Tensor:
        x = F.relu(self.normalized(F.pad(x, (3, 3, 3, 3)), "conv1", "bn_conv1"))
        # Padding by zeros or by minus infinity is the same after ReLU.
        x = F.max_pool2d(x, 3, 2, padding=1)
        for label, _, _, first in self.plan():
            y = F.relu(self._branched(x, label, "2a"))
            y = F.relu(self._branched(y, label, "2b"))
            y = self._branched(y, label, "2c")
            x = F.relu(y + (self._branched(x, label, "1") if first else x))
        return self.layers["prob"](x.float().mean((2, 3)))

    def _branch(self, i: int, o: int, size: int, stride: int, label: str, branch: str) -> None:
        name = f"{label}_branch{branch}"
        self.add(i, o, size, stride, f"res{name}", f"bn{name}")

    def _branched(self, x: Tensor, label: str, branch: str) -> Tensor:
        name = f"{label}_branch{branch}"
        return self.normalized(x, f"res{name}", f"bn{name}")


class ResNet18(ResNet50):
    """rn18 as a classifier: two 3x3 convolutions per block, no biases, all stages project."""

    STAGES = ((64, 2), (128, 2), (256, 2), (512, 2))
    bias, epsilon = False, 1e-5

    def __init__(self, classes: int):
        Network.__init__(self)
        self.add(3, 64, 7, 2, "conv1", "bn_conv1")
        inputs = 64
        for label, width, stride, first in self.plan():
            self._branch(inputs, width, 3, stride, label, "2a")
            self._branch(width, width, 3, 1, label, "2b")
            if first:
                self._branch(inputs, width, 1, stride, label, "1")
            inputs = width
        self.layers["fc1000"] = nn.Linear(inputs, classes)

    def plan(self) -> list[tuple[str, int, int, bool]]:
        """Return label, channels and stride of each block, and whether it begins a stage."""
        plan = super().plan()
        return [(label if first else f"{label}1", *more, first) for label, *more, first in plan]

    def body(self, x: Tensor) -> Tensor:
        # TensorFlow's "same", for images of an even size.
        x = F.relu(self.normalized(F.pad(x, (2, 3, 2, 3)), "conv1", "bn_conv1"))
        x = F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)
        for label, _, stride, first in self.plan():
            y = F.pad(x, (1, 1, 1, 1)) if stride == 2 else x
            y = F.relu(self._branched(y, label, "2a"))
            y = self._branched(y, label, "2b")
            x = F.relu(y + (self._branched(x, label, "1") if first else x))
        return self.layers["fc1000"](x.float().mean((2, 3)))


NETWORKS = {
    "resnet-32": partial(CifarResNet, blocks=5, channels=(16, 32, 64)),
    "resnet-110-wfc": CifarResNet,
    "resnet-50": ResNet50,
    "rn18": ResNet18,
}


def copy_weights(network: Network, weights: dict[str, list[np.ndarray]]) -> None:
    """Copy the weights of each Keras layer to the layer of the same name."""
    with torch.no_grad():
        for name, layer in network.layers.items():
            kernel, *biases = (torch.from_numpy(w) for w in weights[name])
            order = {4: (3, 2, 0, 1), 2: (1, 0), 1: (0,)}[kernel.ndim]
            layer.weight.copy_(kernel.permute(order))
            bias, *statistics = biases or [None]
            if bias is not None:
                layer.bias.copy_(bias)
            if statistics:
                layer.running_mean.copy_(statistics[0])
                layer.running_var.copy_(statistics[1])


def training_step(
    network: Network, mixed_precision: str | None = None, compiled: bool = False
) -> Callable[[np.ndarray, np.ndarray], float]:
    """Return a step: it trains on images, uint8, and class positions, int64; returns the loss."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    network = network.to(device, memory_format=torch.channels_last)
    forward = torch.compile(network) if compiled else network
    kernels = [p for p in network.parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    groups = [{"params": kernels, "weight_decay": 2 * network.decay}, {"params": others}]
    optimizer = torch.optim.SGD(groups, lr=0.1, momentum=0.9, foreach=True)
    half = getattr(torch, mixed_precision or "bfloat16")

    def step(images: np.ndarray, labels: np.ndarray) -> float:
        x = torch.from_numpy(images).to(device, non_blocking=True)
        y = torch.from_numpy(labels).to(device, non_blocking=True)
        with torch.autocast(device, half, enabled=mixed_precision is not None):
            loss = F.cross_entropy(forward(x), y)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 10.0, foreach=True)
        optimizer.step()
        return loss.item()

    return step
