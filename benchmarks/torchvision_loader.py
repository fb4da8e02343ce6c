"""torchvision's transforms in a PyTorch DataLoader: passes over image files, timed.

Stands alone, so that it can run in another environment. The first line of standard input is JSON
with ``paths`` and ``batch_size``; each further line is a way and a number of workers, and is
answered by a line of JSON: images, seconds and seconds of computing of one pass. Loaders are kept,
with their workers, so that no pass but a first one, which is not timed, has to start anything.
"""

import json
import os
import sys
import time
from pathlib import Path

import torch
import torchvision
from PIL import Image
from torchvision.io import ImageReadMode, decode_image
from torchvision.transforms import v2

MEAN, STD = (0.4856, 0.4994, 0.4324), (0.2322, 0.2277, 0.2659)
ERASING = {"p": 0.5, "scale": (0.02, 0.3), "ratio": (0.3, 1 / 0.3)}


def pil_image(path: str) -> Image.Image:
    """Load an image like the default loader of torchvision's ImageFolder."""
    with open(path, "rb") as file:
        return Image.open(file).convert("RGB")


def decoded(path: str) -> torch.Tensor:
    """Decode an image by torchvision itself."""
    return decode_image(path, ImageReadMode.RGB)


def augmented_tensors() -> list:
    """Return transforms of uint8 tensors; erased parts are black, which is faster than noise."""
    return [
        v2.Resize(512, antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomCrop(448),
        v2.RandomErasing(**ERASING),
    ]


def augmented_pictures() -> list:
    """Return transforms of Pillow's images and of float32, as torchvision's references train."""
    return [
        v2.Resize(512),
        v2.RandomHorizontalFlip(),
        v2.RandomCrop(448),
        v2.PILToTensor(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(MEAN, STD),
        v2.RandomErasing(**ERASING, value="random"),
    ]


def with_randaugment() -> list:
    """Return transforms of pictures or tensors that end in RandAugment, the same strength."""
    return [
        v2.Resize(512, antialias=True),
        v2.RandomHorizontalFlip(),
        v2.RandomCrop(448),
        v2.RandAugment(2, 9),
    ]


WAYS = {
    "pictures": (pil_image, augmented_pictures()),
    "tensors": (pil_image, [v2.PILToTensor(), *augmented_tensors()]),
    "decode_image": (decoded, augmented_tensors()),
    "randaugment_pictures": (pil_image, [*with_randaugment(), v2.PILToTensor()]),
    "randaugment_tensors": (decoded, with_randaugment()),
}


class Files(torch.utils.data.Dataset):
    """Image files, augmented like CUB: 512 to 448 pixels, flip and erasing."""

    def __init__(self, paths, way):
        self.paths = paths
        self.load, steps = WAYS[way]
        self.transform = v2.Compose(steps)

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        return self.transform(self.load(self.paths[index]))


def cpu_seconds() -> float:
    """Return the CPU time of this process and its children so far, running ones included."""
    children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
    tasks = [task for child in children for task in Path(f"/proc/{child}/task").iterdir()]
    spent = [int((task / "schedstat").read_text().split()[0]) for task in tasks]
    return time.process_time() + sum(spent) / 1e9


def timed_pass(loader) -> dict[str, float]:
    """Return the seconds of one pass."""
    wall, cpu, count = time.perf_counter(), cpu_seconds(), 0
    for batch in loader:
        count += len(batch)
    return {
        "images": count,
        "wall": time.perf_counter() - wall,
        "cpu": cpu_seconds() - cpu,
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
    }


def main() -> None:
    """Answer requests until standard input ends."""
    torch.set_num_threads(1)
    task, loaders = json.loads(sys.stdin.readline()), {}
    for line in sys.stdin:
        way, workers = line.split()
        if line not in loaders:
            loaders[line] = torch.utils.data.DataLoader(
                Files(task["paths"], way),
                task["batch_size"],
                num_workers=int(workers),
                persistent_workers=int(workers) > 0,
            )
            timed_pass(loaders[line])
        print(json.dumps(timed_pass(loaders[line])), flush=True)


if __name__ == "__main__":
    main()
