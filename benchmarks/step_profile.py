"""Where does the time of a training step go? Seconds of each kind of operation, on one core.

The commands' own step under TensorFlow and, if it is there, the same network in plain PyTorch; each
in a process of its own that may use one core only, so that the times of all operations add up.
"""

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # this script may be run from anywhere

from benchmarks.report import add_output_options, recorded
from benchmarks.train_step import CASES, Case
from cli import arguments, console
from cli.arguments import positive
from utils import UserError

results = logging.getLogger("results")

KINDS = {
    "convolutions, gradient of the kernels": r"Conv2DBackpropFilter",
    "convolutions, gradient of the maps": r"Conv2DBackpropInput",
    "convolutions, all gradients": r"aten::(\w+_)?(convolution|conv2d)_backward",
    "convolutions": r"Conv2D|aten::\w*(convolution|conv2d)",
    "batch normalization, gradient": r"BatchNormGrad|batch_norm_backward",
    "batch normalization": r"BatchNorm|batch_norm",
    "ReLU, gradient": r"ReluGrad|threshold_backward",
    "ReLU": r"Relu|aten::(relu|clamp_min)",
    "sums of maps": r"^Add(N|V2)?$|_Mkl(Native)?Add|aten::add_?$",
    "norm, penalty and update of the weights": r"L2Loss|ResourceApply|aten::_foreach|vector_norm",
    "copies and changes of order": r"Transpose|Mkl\w*ToTf|aten::(copy_|contiguous|clone)",
}
"""What operations of TensorFlow and PyTorch have in their names; the first that fits counts."""
OTHERS = "all others"


def build_parser() -> argparse.ArgumentParser:
    """Return the command line."""
    parser = arguments.build_parser(__doc__.splitlines()[0])
    parser.add_argument("--case", choices=CASES, default="resnet-110-wfc", help="the network")
    parser.add_argument("--batch_size", type=positive, metavar="N", help="instead of the case's")
    parser.add_argument("--steps", type=positive, default=2, metavar="N", help="of each")
    parser.add_argument(
        "--torch_python", type=Path, metavar="PYTHON", help="a Python that has PyTorch, if any"
    )
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    add_output_options(parser)
    return parser


def measure(args: argparse.Namespace) -> None:
    if args.worker:
        print(json.dumps(trace(json.loads(args.worker), args.steps)))
        return
    case = CASES[args.case]
    case = case._replace(batch_size=args.batch_size or case.batch_size)
    pythons = {"tensorflow": Path(sys.executable)}
    if args.torch_python:
        pythons["PyTorch"] = args.torch_python
    with recorded(args) as report:
        traced = {name: _traced(name, case, python, args.steps) for name, python in pythons.items()}
        for found in traced.values():
            report["versions"] |= found.pop("versions")
        report |= case._asdict() | {"seconds per step": traced}
    show({name: by_kind(found["operations"]) for name, found in traced.items()}, traced)


def _traced(name: str, case: Case, python: Path, steps: int) -> dict[str, object]:
    """Trace a case in a process of its own.

    Raises:
        UserError: it failed.
    """
    configuration = {"backend": None if name == "PyTorch" else name, **case._asdict()}
    configuration |= {"jit": "off", "mixed_precision": None}
    options = ["--worker", json.dumps(configuration), "--steps", str(steps)]
    try:
        command = [str(python), __file__, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise UserError(f"{name} cannot be measured: {said.splitlines()[-1]}") from error
    return json.loads(done.stdout.splitlines()[-1])


def trace(configuration: dict[str, object], steps: int) -> dict[str, object]:
    """Return the seconds per step: as a whole, without a profiler, and of each operation."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from benchmarks.step_worker import batch, keras_network, pytorch

    plain = configuration["backend"] is None
    train, versions = (pytorch if plain else keras_network)(configuration, *batch(configuration))
    train(1)
    whole = train(steps) / steps
    watch = trace_pytorch if plain else trace_tensorflow
    found = watch(lambda: train(steps))
    operations = {name: seconds / steps for name, seconds in found.most_common()}
    return {"versions": versions, "whole": whole, "operations": operations}


def trace_tensorflow(work: Callable[[], object]) -> Counter[str]:
    """Return the seconds of each operation of TensorFlow."""
    import tensorflow as tf
    from tensorflow.tsl.profiler.protobuf.xplane_pb2 import XSpace

    with tempfile.TemporaryDirectory() as folder:
        with tf.profiler.experimental.Profile(folder):
            work()
        (path,) = Path(folder).rglob("*.xplane.pb")
        space = XSpace.FromString(path.read_bytes())
    found: Counter[str] = Counter()
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events if line.name.startswith("tf_Compute") else ():
                # "name of the node:operation"; what the runtime does itself has two colons.
                name = plane.event_metadata[event.metadata_id].name
                if operation := re.fullmatch(r"[^:]+:(\w+)", name):
                    found[operation[1]] += event.duration_ps / 1e12
    return found


def trace_pytorch(work: Callable[[], object]) -> Counter[str]:
    """Return the seconds of each operation of PyTorch, without those that it calls."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CPU]) as watched:
        work()
    return Counter({row.key: row.self_cpu_time_total / 1e6 for row in watched.key_averages()})


def by_kind(operations: dict[str, float]) -> Counter[str]:
    """Sum the seconds of each of ``KINDS``, and of all other operations."""
    found: Counter[str] = Counter()
    for name, seconds in operations.items():
        fits = (kind for kind, pattern in KINDS.items() if re.search(pattern, name))
        found[next(fits, OTHERS)] += seconds
    return found


def show(kinds: dict[str, Counter[str]], traced: dict[str, dict]) -> None:
    """Print the table."""
    results.info("| seconds per step | %s |", " | ".join(kinds))
    results.info("|---|%s", "---:|" * len(kinds))
    for kind in (*KINDS, OTHERS):
        cells = [f"{found[kind]:.2f}" if found[kind] else "–" for found in kinds.values()]
        results.info("| %s | %s |", kind, " | ".join(cells))
    for title, values in (
        ("sum", [sum(found.values()) for found in kinds.values()]),
        ("step that is not watched", [found["whole"] for found in traced.values()]),
    ):
        results.info("| %s | %s |", title, " | ".join(f"{value:.2f}" for value in values))


def main(argv: list[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), measure, argv, backend=False)


if __name__ == "__main__":
    sys.exit(main())
