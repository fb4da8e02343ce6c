"""How fast are batches made? Ours against the published way, torchvision and tf.data.

Everything is measured in turns, several rounds in one run, and told as a ratio to the published
way of the same round: other work on the machine slows all of them down alike. "Per core" counts
seconds of computing, whatever the number of threads or processes.
"""

import argparse
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datasets.images.dataset import ImageDataset

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from cli.arguments import non_negative_int, positive

results = logging.getLogger("results")
PUBLISHED = "published way"
TORCHVISION = {  # ways of ``torchvision_loader``
    "pictures": "PIL images to float32",
    "tensors": "PIL to uint8 tensors",
    "decode_image": "its own decoder to uint8 tensors",
}
PLAIN = "flip and crop"
RANDAUGMENT = {  # ways of ``torchvision_loader``
    "randaugment_pictures": "RandAugment of PIL images to uint8 tensors",
    "randaugment_tensors": "its own decoder, RandAugment of uint8 tensors",
}
_CIFAR_BATCH = 100
_CIFAR_PUBLISHED = 2000  # images of an epoch that the published way is measured on


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--data_root", type=Path, metavar="DIR", help="a CUB folder")
    parser.add_argument("--cifar_root", type=Path, metavar="DIR", help="a CIFAR-100 folder")
    parser.add_argument(
        "--augmentations", action="store_true", help="compare the augmentations of CUB instead"
    )
    parser.add_argument("--images", type=positive, default=160, metavar="N", help="of CUB")
    parser.add_argument("--batch_size", type=positive, default=16, metavar="N", help="of CUB")
    parser.add_argument(
        "--workers",
        type=non_negative_int,
        nargs="+",
        default=[0, 1, 2],
        metavar="N",
        help="threads",
    )
    parser.add_argument("--rounds", type=positive, default=3, metavar="N", help="repetitions")
    parser.add_argument(
        "--torchvision_python",
        type=Path,
        metavar="FILE",
        help="interpreter of an environment with torchvision (default: not measured)",
    )
    add_output_options(parser)
    return parser


def measure(args: argparse.Namespace) -> None:
    from utils import UsageError

    if not (args.data_root or args.cifar_root):
        raise UsageError("nothing to measure: give --data_root or --cifar_root")
    if args.augmentations and not args.data_root:
        raise UsageError("--augmentations are those of image files: give --data_root")
    with recorded(args) as report:
        report["versions"] |= _image_versions()
        if args.augmentations:
            report["augmentations"] = _measure_augmentations(args)
        elif args.data_root:
            report |= _measure_files(args)
        if args.cifar_root:
            report["cifar"] = _measure_cifar(args)


def _some_images(args: argparse.Namespace) -> tuple["ImageDataset", list[Path]]:
    """Return CUB with some of its training images, and their files."""
    from dataclasses import replace

    from datasets import get_dataset

    dataset = get_dataset("CUB", args.data_root)
    positions = [i * len(dataset.train) // args.images for i in range(args.images)]
    dataset = replace(dataset, train=dataset.train.select(positions))
    return dataset, [args.data_root / name for name in dataset.train.names]


def _measure_files(args: argparse.Namespace) -> dict[str, object]:
    """Measure the way from JPEG files to batches of 448 pixels."""
    import tempfile

    from datasets.cache.choice import with_cache

    dataset, paths = _some_images(args)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        stored = with_cache(dataset, folder, 2)
        kept = with_cache(dataset, "ram")
        _consume(_ours(kept, args.batch_size, 2))
        loaders = _torchvision(args, paths, stack, TORCHVISION)
        contestants = _file_contestants(args, dataset, kept, stored, paths, loaders)
        table = _in_turns(contestants, args.rounds, args.images)
    bytes_kept = [image.nbytes for image in kept.train]
    files = _show(f"{args.images} images of CUB, 512 to 448 pixels, flip, erasing", table)
    others = _against_torchvision(table)
    bytes_of_batch = args.batch_size * 448 * 448 * 3
    results.info(
        "\nMemory: %.2f MB per kept image, %.1f MB per batch of %d",
        statistics.mean(bytes_kept) / 1e6,
        bytes_of_batch / 1e6,
        args.batch_size,
    )
    return {
        "files": files,
        "ratios_to_torchvision": others,
        "shares": _shares(dataset),
        "bytes_per_kept_image": statistics.mean(bytes_kept),
        "bytes_per_batch": bytes_of_batch,
    }


def _file_contestants(args, dataset, kept, stored, paths, loaders) -> dict[str, Callable]:
    """Return functions that make all batches once, ordered by number of workers."""
    from benchmarks import rivals
    from datasets.cache.choice import with_cache

    def ours(data, workers: int) -> Callable[[], None]:
        return lambda: _consume(_ours(data(), args.batch_size, workers))

    contestants = {PUBLISHED: lambda: _consume(rivals.published_batches(paths, args.batch_size))}
    for workers in args.workers:
        name = _threads(workers)
        contestants[f"ours, --cache off, {name}"] = ours(lambda: dataset, workers)
        fresh = [with_cache(dataset, "ram") for _ in range(args.rounds)]
        contestants[f"ours, first epoch into memory, {name}"] = ours(fresh.pop, workers)
        contestants |= {
            _loader(way, workers): loaders[way, workers] for way, n in loaders if n == workers
        }
        contestants[f"ours, from memory, {name}"] = ours(lambda: kept, workers)
        contestants[f"ours, from a folder, {name}"] = ours(lambda: stored, workers)
        for keep, what in ((False, "from JPEG"), (True, "from memory")):
            data = rivals.tf_data(paths, args.batch_size, workers, keep)
            _consume(data)
            contestants[f"tf.data without erasing, {what}, {name}"] = lambda data=data: _consume(
                data
            )
    return contestants


def _measure_augmentations(args: argparse.Namespace) -> dict[str, dict]:
    """Measure the way from JPEG files to batches of 448 pixels, without a cache."""
    dataset, paths = _some_images(args)
    contestants = {}
    with ExitStack() as stack:
        loaders = _torchvision(args, paths, stack, RANDAUGMENT)
        for workers in args.workers:
            for name, data in _augmented(dataset).items():
                contestants[f"{name}, {_threads(workers)}"] = lambda data=data, workers=workers: (
                    _consume(_ours(data, args.batch_size, workers))
                )
            contestants |= {
                f"torchvision, {RANDAUGMENT[way]}, {_threads(n)}": loader
                for (way, n), loader in loaders.items()
                if n == workers
            }
        for work in contestants.values():  # compiled loops are loaded, images in the page cache
            work()
        reference = f"{PLAIN}, {_threads(args.workers[0])}"
        table = _in_turns(contestants, args.rounds, args.images, reference)
    return _show(f"{args.images} images of CUB, to 448 pixels, --cache off", table)


def _augmented(dataset: "ImageDataset") -> dict[str, "ImageDataset"]:
    """Return the data set with each augmentation beside flips and crops, by its name."""
    from dataclasses import replace

    from datasets.images.augmentation.mixing import CutMix, MixUp
    from datasets.images.augmentation.randaugment import RandAugment

    plain = replace(dataset, preprocessing=replace(dataset.preprocessing, erasing=0.0))
    changes = {
        PLAIN: {},
        "RandAugment 2 9": {"randaugment": RandAugment(2, 9)},
        "RandAugment timm:2:9": {"randaugment": RandAugment(2, 9, "timm")},
        "random resized crop": {"crop_scale": (0.08, 1.0), "train_size": None},
        "color jitter": {"jitter": 0.4},
        "vertical flip": {"vflip": 0.5},
    }
    return {
        name: replace(plain, preprocessing=replace(plain.preprocessing, **change))
        for name, change in changes.items()
    } | {"CutMix": replace(plain, mixing=CutMix(1.0)), "MixUp": replace(plain, mixing=MixUp(0.2))}


def _torchvision(
    args: argparse.Namespace, paths: list[Path], stack: ExitStack, ways: Iterable[str]
) -> dict[tuple[str, int], Callable]:
    """Return torchvision's loaders by name and workers, in a process that ends with the stack."""
    from benchmarks import rivals

    if not args.torchvision_python:
        return {}
    loaders = stack.enter_context(
        rivals.Torchvision(args.torchvision_python, paths, args.batch_size)
    )
    return {
        (way, workers): lambda way=way, workers=workers: loaders.measure(way, workers)
        for workers in args.workers
        for way in ways
    }


def _loader(way: str, workers: int) -> str:
    return f"torchvision DataLoader, {TORCHVISION[way]}, {_threads(workers)}"


def _threads(workers: int) -> str:
    return f"{workers} workers" if workers else "inline"


def _against_torchvision(table: dict[str, dict]) -> list[dict]:
    """Return the ratios of our first epochs to torchvision's DataLoader with as many workers."""
    rows = []
    for ours in (name for name in table if name.startswith("ours") and "from" not in name):
        for way in TORCHVISION:
            theirs = _loader(way, 0).removesuffix("inline") + ours.split(", ")[-1]
            if theirs in table:
                pair = [table[name]["rounds"] for name in (ours, theirs)]
                ratios = {kind: _ratio(*(each[kind] for each in pair)) for kind in pair[0]}
                rows.append({"ours": ours, "to": TORCHVISION[way], **ratios})
    if rows:
        results.info("\nRatios to as many workers of torchvision\n\n| | to | images/s | per core |")
        results.info("|---|---|---:|---:|")
    for row in rows:
        results.info("| %s | %s | %.2f | %.2f |", *row.values())
    return rows


def _ours(dataset, batch_size: int, workers: int) -> Iterable:
    from datasets.batches import Batches

    options = {"shuffle": True, "workers": workers, "mixing": dataset.mixing}
    batches = Batches(dataset.train, dataset.train_transform, batch_size, **options)
    _ours.epoch = getattr(_ours, "epoch", 0) + 1
    batches.set_epoch(_ours.epoch)
    try:
        for i in range(len(batches)):
            yield batches[i][0]
    finally:
        batches.close()


def _consume(batches: Iterable) -> None:
    for _ in batches:
        pass


def _in_turns(
    contestants: dict[str, Callable], rounds: int, images: int, reference: str = PUBLISHED
) -> dict[str, dict]:
    """Return images per second of wall and CPU time, and the ratios to one of the contestants."""
    walls: dict[str, list[float]] = {name: [] for name in contestants}
    cpus: dict[str, list[float]] = {name: [] for name in contestants}
    versions: dict[str, dict] = {name: {} for name in contestants}
    for _ in range(rounds):
        for name, work in contestants.items():
            wall, cpu = time.perf_counter(), time.process_time()
            timed = work()
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            if timed:  # it ran in another process, which measured by itself
                wall, cpu = timed["wall"], timed["cpu"]
                versions[name] = timed.get("versions", {})
            walls[name].append(images / wall)
            cpus[name].append(images / cpu)
    return {
        name: {
            "per_second": statistics.median(walls[name]),
            "per_core_second": statistics.median(cpus[name]),
            "ratio": _ratio(walls[name], walls[reference]),
            "ratio_per_core": _ratio(cpus[name], cpus[reference]),
            "rounds": {"per_second": walls[name], "per_core_second": cpus[name]},
            "versions": versions[name],
        }
        for name in contestants
    }


def _ratio(values: list[float], references: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(values, references, strict=True))


def _shares(dataset) -> dict[str, float]:
    """Return milliseconds of CPU time per image of each step, without a cache, on one thread."""
    import numpy as np

    from datasets.images.augmentation.preprocessing import apply
    from datasets.images.pixels.resizing import resize_region
    from utils import generator

    parts = dict.fromkeys(("read and decode", "draw", "resize", "augment and hand over"), 0.0)
    prepare, batch = dataset.preprocessing, np.empty((1, *dataset.input_shape), np.uint8)
    for i in range(len(dataset.train)):
        times = [time.thread_time()]
        image = dataset.train[i]
        times.append(time.thread_time())
        params = prepare.train_params(image.shape, generator("benchmark", i))
        times.append(time.thread_time())
        resize_region(image, params.shape, params.visible, params.mirrored)
        times.append(time.thread_time())
        apply(image, params, batch[0])
        times.append(time.thread_time())
        spans = np.diff(times)
        spans[3] -= spans[2]  # painting resizes once more
        for name, span in zip(parts, spans, strict=True):
            parts[name] += 1000 * span / len(dataset.train)
    parts["read and decode"] -= (library := _decoding(dataset))
    parts = {"libjpeg-turbo": library} | parts
    total = sum(parts.values())
    results.info("\nComputing time per image, --cache off:")
    for name, span in parts.items():
        results.info("  %-24s %6.2f ms %4.0f %%", name, span, 100 * span / total)
    return parts


def _decoding(dataset) -> float:
    """Return milliseconds of CPU time per image of the decoder alone, the same as torchvision's."""
    import simplejpeg

    paths = [dataset.train.samples.paths[i] for i in dataset.train.positions]
    contents = [path.read_bytes() for path in paths]
    begin = time.thread_time()
    for content in contents:
        simplejpeg.decode_jpeg(content, "RGB", strict=True)
    return 1000 * (time.thread_time() - begin) / len(contents)


def _measure_cifar(args: argparse.Namespace) -> dict[str, dict]:
    """Measure an epoch of CIFAR-100 with flips and shifts by fractions of a pixel."""
    from benchmarks import rivals
    from datasets import get_dataset

    dataset = get_dataset("CIFAR-100", args.cifar_root)
    images = dataset.train.samples
    some = images[:_CIFAR_PUBLISHED]

    def published() -> dict[str, float]:
        wall, cpu = time.perf_counter(), time.process_time()
        _consume(rivals.published_cifar(some, _CIFAR_BATCH))
        factor = len(images) / len(some)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        return {"wall": factor * wall, "cpu": factor * cpu}

    contestants = {PUBLISHED: published} | {
        f"ours, {workers or 'no'} threads": lambda workers=workers: _consume(
            _ours(dataset, _CIFAR_BATCH, workers)
        )
        for workers in args.workers
    }
    table = _in_turns(contestants, args.rounds, len(images))
    return _show(f"CIFAR-100, epochs of {len(images)} images", table)


def _show(title: str, table: dict[str, dict]) -> dict[str, dict]:
    results.info("\n%s\n", title)
    results.info("| | images/s | ratio | images/s per core | ratio |\n|---|---:|---:|---:|---:|")
    for name, row in table.items():
        results.info(
            "| %s | %.0f | %.1f | %.0f | %.1f |",
            name,
            row["per_second"],
            row["ratio"],
            row["per_core_second"],
            row["ratio_per_core"],
        )
    return table


def _image_versions() -> dict[str, str]:
    import numba
    import PIL
    import simplejpeg

    return {library.__name__: library.__version__ for library in (PIL, simplejpeg, numba)}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv)


if __name__ == "__main__":
    sys.exit(main())
