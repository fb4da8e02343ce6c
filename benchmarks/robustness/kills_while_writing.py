"""Is anything lost when a process is killed while it saves, exports, caches or predicts?

A process replaces its outputs again and again, each time with a network whose weights are all one
higher, and tells when it is done. It is killed by SIGKILL at a random moment, and the next one
checks that every output is complete and not older than what was told. Exit status 1: one is not, a
file of others has changed, or temporary files stay.
"""

import argparse
import logging
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import numpy as np

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from cli import arguments, console
from cli.arguments import positive, seed
from utils import UserError, generator

results = logging.getLogger("results")

SIDE = 8  # pixels
IMAGES = 40


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--kills", type=positive, default=50, metavar="N", help="in all")
    parser.add_argument("--seed", type=seed, default=0, metavar="N", help="of the moments")
    parser.add_argument("--worker", choices=tuple(TASKS), help=argparse.SUPPRESS)
    add_output_options(parser)
    return parser


def measure(args: argparse.Namespace) -> None:
    """Kill and check, or be the process that is killed."""
    if args.worker:
        work(args.worker)
        return
    rng = generator("kills while writing", args.seed)
    with recorded(args) as report, tempfile.TemporaryDirectory(prefix="kills-") as folder:
        report |= {"seed": args.seed, "kills": []}
        results.info("| kill | while | after | replaced before | temporary then |")
        results.info("|---:|---|---:|---:|---:|")
        for number in range(args.kills + len(TASKS)):
            task = list(TASKS)[number % len(TASKS)]
            own = Path(folder, task)
            own.mkdir(exist_ok=True)
            last = number >= args.kills  # only checks
            delay = 0.0 if last else rng.uniform(0, 3)
            done = _kill(task, own, delay)
            temporary = len([*own.rglob("*.partial")])
            if not last:
                report["kills"].append({"task": task, "delay": delay, "replaced": done})
                row = (number + 1, task, delay, done, temporary)
                results.info("| %d | %s | %.2f s | %d | %d |", *row)
        results.info("Nothing was lost in %d kills", len(report["kills"]))


def _kill(task: str, folder: Path, delay: float) -> int:
    """Start the process, kill it so many seconds after its checks; return what it told."""
    command = [sys.executable, __file__, "--worker", task]
    environment = os.environ | {"KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "3"}
    with (
        open(folder.with_suffix(".told"), "a+") as told,
        open(folder.with_suffix(".err"), "w") as errors,
        subprocess.Popen(
            command, cwd=folder, env=environment, stdout=told, stderr=errors
        ) as process,
    ):
        before = told.seek(0, os.SEEK_END)
        while process.poll() is None and "checked" not in _rest(told, before):
            _wait(process, 0.05)
        _wait(process, delay)
        process.kill()
        process.wait()
        text = _rest(told, before)
    if "checked" not in text:
        raise UserError(f"{task}: {folder.with_suffix('.err').read_text()[-500:]}")
    return text.count("done")


def _wait(process: subprocess.Popen, seconds: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(seconds)


def _rest(file: TextIO, start: int) -> str:
    file.seek(start)
    return file.read()


def work(task: str) -> None:
    """Check what the process before left, then replace it until this one is killed."""
    from storage import outputs

    told = Path("..", f"{task}.told").read_text().split()
    known = max((int(word) for word in told if word.isdigit()), default=0)
    write, check = TASKS[task]
    notes = Path(".w.h5.1"), Path(".model.old")
    for note in notes:
        if known and note.read_text() != "somebody's":
            raise UserError(f"{note} has changed")
        note.write_text("somebody's")
    if known:
        found = check()
        if not known <= found <= known + 1:
            raise UserError(f"of {found} instead of {known}")
        known = found
    else:
        known = 1
        write(known)
        outputs.release()
        print(f"done {known}")
    print(f"checked {known}", flush=True)
    while True:
        known += 1
        write(known)
        outputs.release()
        left = [path for path in Path().rglob("*.partial") if path.is_dir()]
        if left:
            raise UserError(f"left: {left}")
        print(f"done {known}", flush=True)


def _network(number: int):
    import keras

    tensor = keras.Input((SIDE, SIDE, 1), name="image")
    flat = keras.layers.Flatten(name="flat")(tensor)
    model = keras.Model(tensor, keras.layers.Dense(500, name="dense")(flat))
    model.set_weights([np.full(weight.shape, number) for weight in model.get_weights()])
    return model


def _description():
    from models.files.description import ModelDescription, Output

    names = tuple(f"class {i}" for i in range(500))
    return ModelDescription(
        "any",
        tuple(range(500)),
        names,
        channels=1,
        target_size=SIDE,
        crop_size=SIDE,
        outputs=(Output("dense", "output", None),),
    )


def _save(number: int) -> None:
    from models.files.saved import save_model, save_weights
    from storage.outputs import claim
    from training.optimizer import build_optimizer
    from training.snapshots.file import RunState, save_snapshot

    model = _network(number)
    for name in ("s.h5", "w.h5", "m.h5", "m.keras"):
        claim("--out", Path(name), True)
    save_weights(model, "w.h5")
    save_model(model, "m.h5", _description())
    save_model(model, "m.keras", _description())
    model.compile(optimizer=build_optimizer(0.1), loss="mse")
    model.optimizer.build(model.trainable_variables)
    save_snapshot(Path("s.h5"), model, RunState(number, {}))


def _saved() -> int:
    from models.files.saved import load_model, load_weights
    from training.snapshots.file import read_state

    found = []
    for name in ("w.h5", "m.h5", "m.keras"):
        model = _network(0)
        if name == "w.h5":
            load_weights(model, name)
        else:
            model, _ = load_model(name)
        found += [
            int(value) for weight in model.get_weights() for value in (weight.min(), weight.max())
        ]
    found.append(read_state(Path("s.h5")).epoch)
    if max(found) - min(found) > 1:
        raise UserError(f"of {found}")
    return min(found)


def _export(number: int) -> None:
    from models.files.export import check_export, export, with_pixel_input

    network = _network(number)
    model = with_pixel_input(network.input, {"scores": network.output}, SIDE)
    check_export("saved_model", "--out", Path("model"), True)
    export("saved_model", model, Path("model"), {"number": number}, 17, lambda run: None)


def _exported() -> int:
    from models.files.export import FORMATS

    found = FORMATS["saved_model"].load(Path("model"))(np.zeros((1, SIDE, SIDE, 1), np.uint8))
    return int(found["scores"].max())


def _cache(number: int) -> None:
    from datasets.cache.disk import stored_images

    Path("source").write_text(str(number) * number)  # another file of the cache
    for old in Path("cache").glob("*.images") if number % 20 == 0 else ():
        old.unlink()
    images = [np.full((64, 64, 3), (number + i) % 256, np.uint8) for i in range(IMAGES)]
    paths = [Path("source")] * IMAGES
    stored = stored_images(Path("cache"), "any", images, paths, np.arange(IMAGES), lambda: 1e5, 2)
    if any((stored[i] != images[i]).any() for i in range(IMAGES)):
        raise UserError("the cache has other images")


def _cached() -> int:
    from datasets.cache.disk import StoredImages

    for path in Path("cache").glob("*.images"):
        stored = StoredImages(path, np.arange(IMAGES), IMAGES)
        for i in range(IMAGES):
            stored[i].sum()
    return max(int(w) for w in Path("..", "cache.told").read_text().split() if w.isdigit())


def _predict(number: int) -> None:
    from PIL import Image

    import predict
    from models.files.saved import save_model

    if not Path("images").exists():
        Path("images").mkdir()
        for i in range(IMAGES):
            Image.fromarray(np.full((SIDE, SIDE), i, np.uint8)).save(f"images/{i:02}.png")
    save_model(_network(number), "m.keras", _description())
    command = "--model m.keras images --batch_size 5 --format csv --out found.csv --overwrite"
    stdout, sys.stdout = sys.stdout, sys.stderr
    try:
        if predict.main(command.split()):
            raise UserError("no prediction")
    finally:
        sys.stdout = stdout


def _predicted() -> int:
    lines = Path("found.csv").read_text().splitlines()
    if len(lines) != IMAGES + 1:
        raise UserError(f"found.csv has {len(lines)} lines")
    return max(int(w) for w in Path("..", "predict.told").read_text().split() if w.isdigit())


TASKS: dict[str, tuple[Callable[[int], None], Callable[[], int]]] = {
    "save": (_save, _saved),
    "export": (_export, _exported),
    "cache": (_cache, _cached),
    "predict": (_predict, _predicted),
}


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
