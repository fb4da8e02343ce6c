"""torchvision's transforms in a PyTorch DataLoader: one pass over image files, timed, as JSON.

Stands alone, so that it can run in another environment:
``python torchvision_loader.py WORKERS BATCH_SIZE < list-of-files``.
"""

import json
import resource
import sys
import time

import torch
import torchvision
from PIL import Image
from torchvision.transforms import v2


class Files(torch.utils.data.Dataset):
    """Image files, augmented like CUB: 512 to 448 pixels, flip and erasing."""

    def __init__(self, paths):
        self.paths = paths
        self.transform = v2.Compose(
            [
                v2.PILToTensor(),
                v2.Resize(512, antialias=True),
                v2.RandomHorizontalFlip(),
                v2.RandomCrop(448),
                v2.RandomErasing(0.5, (0.02, 0.3), (0.3, 1 / 0.3)),
            ]
        )

    def __len__(self):
        return len(self.paths)

    def __getitem__(self, index):
        with Image.open(self.paths[index]) as image:
            return self.transform(image.convert("RGB"))


def cpu_seconds() -> float:
    """Of this process and of those that it started and that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def main() -> None:
    """Times the second of two passes, the first being shorter."""
    workers, batch_size = map(int, sys.argv[1:3])
    paths = sys.stdin.read().splitlines()
    torch.set_num_threads(1)
    for some in (paths[:batch_size], paths):
        wall, cpu, count = time.perf_counter(), cpu_seconds(), 0
        for batch in torch.utils.data.DataLoader(Files(some), batch_size, num_workers=workers):
            count += len(batch)
        wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    versions = {"torch": torch.__version__, "torchvision": torchvision.__version__}
    print(json.dumps({"images": count, "wall": wall, "cpu": cpu, "versions": versions}))


if __name__ == "__main__":
    main()
