"""Export a saved model to ONNX or TensorFlow SavedModel."""

import argparse
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cli import arguments, console, model_options
from cli.arguments import positive, refuse, user_path
from utils import UsageError, UserError, generator

if TYPE_CHECKING:
    import keras
    import numpy as np

    from evaluation.prediction import Classifier
    from models.files.description import ModelDescription
    from models.files.export import Run

Function = Callable[["np.ndarray"], "np.ndarray"]

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

FORMATS = ("onnx", "saved_model")
OPSETS = (13, 18)  # from the oldest with all needed operators to the newest tf2onnx writes
_OPSET = 17
OUTPUTS = ("scores", "probabilities", "embedding", "both")
TOLERANCE = 1e-4
"""Largest difference from the Keras model, relative to the largest absolute value."""

_RESIZING = (
    "Resize the shorter side to target_size pixels (bilinear, anti-aliased), center crop of "
    "crop_size pixels; "
)
PREPROCESSING = f"{_RESIZING}values 0 to 255, channels last, RGB or gray."
BANDS = f"{_RESIZING}values of the file, channels last, bands in its order."
WORDS = (
    "Lower case; ASCII punctuation and white space separate words; 0 is padding at the end, 1 an "
    "unknown word (and a document without any), and words count from 2."
)


def build_parser() -> argparse.ArgumentParser:
    """Build the argument parser."""
    parser = arguments.build_parser(__doc__)
    add = parser.add_argument
    model_options.add_file_options(parser)
    add("--format", required=True, choices=FORMATS, help="what to write")
    out = "file (ONNX) or folder (SavedModel)"
    add("--out", required=True, type=user_path, metavar="PATH", help=out)
    add(
        "--output",
        choices=OUTPUTS,
        default="scores",
        help="scores: of all classes, as probabilities if the model has a classifier; "
        "probabilities: the same, but fail without a classifier; both: scores and embedding",
    )
    add(
        "--input_type",
        choices=("uint8", "float32"),
        help="type of the pixels (default: uint8; float32 for images with many bands)",
    )
    add(
        "--opset",
        type=_opset,
        metavar="N",
        help="version of the ONNX operator set, {} to {} (default: {})".format(*OPSETS, _OPSET),
    )
    add(
        "--check_images",
        nargs="+",
        type=user_path,
        default=[],
        metavar="PATH",
        help="image files or folders on which to compare the exported model with the original, "
        "besides random images",
    )
    add("--overwrite", action="store_true", help="replace PATH if it exists")
    return parser


def _opset(text: str) -> int:
    number = positive(text)
    low, high = OPSETS
    if not low <= number <= high:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
    return number


def _images(paths: Sequence[Path]) -> list[Path]:
    from datasets.images.finding import find_images

    found = find_images(paths)
    if found.unreadable:
        raise found.unreadable[0]
    return found.files


def export_model(args: argparse.Namespace) -> None:
    """Convert a saved model, and check that both compute the same."""
    import numpy as np

    from evaluation.prediction import Classifier
    from models.files import export
    from models.files.published import open_model

    if args.format != "onnx":
        refuse(args, ("opset",), "is for --format onnx")
    export.check_export(args.format, "--out", args.out, args.overwrite)
    images = _images(args.check_images) if args.check_images else []
    model, description = open_model(args.model, model_options.facts_from_options(args))
    if images and description.words is not None:
        raise UsageError(f"--check_images: {args.model} classifies documents")
    plain = export.exportable(model, description.length)
    if export.is_half_precision(model):
        logger.info("%s was trained in half precision; it is exported in float32", args.model)
        model = plain
    classifier = Classifier(model, description)
    outputs = _outputs(args, model, plain, classifier)
    tensors = {name: tensor for name, (tensor, _) in outputs.items()}
    exported = _with_input(args, plain.input, tensors, description)

    def reference(pixels: "np.ndarray") -> "dict[str, np.ndarray]":
        return {name: np.asarray(compute(pixels)) for name, (_, compute) in outputs.items()}

    def check(run: "Run") -> None:
        _check(run, reference, _batches(description, images))

    facts = _facts(description, classifier.score_kind)
    export.export(args.format, exported, args.out, facts, args.opset or _OPSET, check)
    shapes = {name: tensor.shape for name, tensor in exported.output.items()}
    source = exported.input
    results.info("%s: %s %s -> %s", args.out, source.dtype, exported.input_shape, shapes)


def _with_input(
    args: argparse.Namespace,
    raw: "keras.KerasTensor",
    tensors: "dict[str, keras.KerasTensor]",
    description: "ModelDescription",
) -> "keras.Model":
    import keras

    from datasets.images.bands import has_bands
    from models.files import export

    if description.words is None:
        default = "float32" if has_bands(description.channels) else "uint8"
        if default == "float32" and args.input_type == "uint8":
            raise UsageError(
                f"--input_type uint8: {args.model} takes images of {description.channels} bands, "
                "with numbers of 16 bits"
            )
        return export.with_pixel_input(
            raw, tensors, description.crop_size, args.input_type or default
        )
    if args.input_type:
        raise UsageError(f"--input_type is for images; {args.model} classifies documents")
    return keras.Model(raw, tensors)


def _outputs(
    args: argparse.Namespace, model: "keras.Model", plain: "keras.Model", classifier: "Classifier"
) -> "dict[str, tuple[keras.KerasTensor, Function]]":
    """Map each output's name to the tensor to export and the saved model's function for it."""
    import keras

    from evaluation.features import feature_tensor
    from models.decisions import PROBABILITY

    scores = "probabilities" if classifier.score_kind == PROBABILITY else "scores"
    if args.output == "probabilities" != scores:
        raise UsageError(
            f"--output probabilities: {args.model} has none, its scores are "
            f"{classifier.score_kind} values; give --output scores"
        )
    embedding = keras.Model(model.inputs, feature_tensor(model)).predict_on_batch
    outputs = {
        scores: (classifier.score_tensor(plain.outputs[-1]), classifier.scores),
        "embedding": (feature_tensor(plain), embedding),
    }
    left_out = {"embedding": scores, "both": None}.get(args.output, "embedding")
    return {name: output for name, output in outputs.items() if name != left_out}


def _facts(description: "ModelDescription", score_kind: str) -> dict[str, object]:
    from datasets.images.bands import has_bands

    is_text = description.words is not None
    kind = ("words", "length") if is_text else ("channels", "target_size", "crop_size")
    names = ("dataset", "labels", "class_names", *kind)
    facts = {name: getattr(description, name) for name in names}
    steps = WORDS if is_text else BANDS if has_bands(description.channels) else PREPROCESSING
    return facts | {"score_kind": score_kind, "preprocessing": steps}


def _batches(description: "ModelDescription", images: Sequence[Path]) -> "Iterator[np.ndarray]":
    """Yield a batch of one random sample, a batch of three, then batches of the given images."""
    import numpy as np

    from datasets.images.unlabeled import image_batches, image_reader

    rng = generator("export check")
    draw = _random_image if description.words is None else _random_document
    for count in (1, 3):
        yield np.stack([draw(rng, description) for _ in range(count)])
    if not images:
        return
    read = image_reader(description.target_size, description.crop_size, description.channels)
    for batch in image_batches(images, read, 16, workers=2):
        for error in batch.damaged:
            logger.warning("%s", error)
        if batch.paths:
            yield batch.samples


def _random_document(rng: "np.random.Generator", description: "ModelDescription") -> "np.ndarray":
    numbers = rng.integers(1, len(description.words) + 2, description.length, "int32")
    numbers[rng.integers(1, description.length + 1) :] = 0
    return numbers


def _random_image(rng: "np.random.Generator", description: "ModelDescription") -> "np.ndarray":
    """Draw random squares: to a network, all images of independent pixels look alike."""
    from datasets.images.bands import has_bands

    height, width, channels = description.input_shape
    levels, kind = (10_000, "uint16") if has_bands(channels) else (256, "uint8")
    side = int(rng.integers(1, max(1, height // 2) + 1))
    pixels = rng.integers(0, levels, (-(-height // side), -(-width // side), channels), kind)
    return pixels.repeat(side, axis=0).repeat(side, axis=1)[:height, :width]


def _check(
    run: "Run",
    reference: "Callable[[np.ndarray], Mapping[str, np.ndarray]]",
    batches: "Iterator[np.ndarray]",
) -> None:
    """Log the largest difference between the outputs of the exported and the Keras model.

    Raises:
        UserError: it exceeds ``TOLERANCE``, or an output is missing.
    """
    import numpy as np

    largest: dict[str, np.ndarray] = {}
    count = 0
    for images in batches:
        found = run(images)
        count += len(images)
        for name, expected in reference(images).items():
            if name not in found or found[name].shape != expected.shape:
                raise UserError(f"the exported model has no output {name!r} of the right shape")
            difference = np.abs(found[name] - expected).max()
            pair = np.array([difference, difference / (np.abs(expected).max() or 1)])
            largest[name] = np.maximum(largest.get(name, 0), pair)  # keeps NaN, unlike max()
    for name, (difference, relative) in largest.items():
        results.info(
            "%s: largest difference from the Keras model on %d samples: %.2g (%.2g of the largest "
            "value)",
            name,
            count,
            difference,
            relative,
        )
    for name, (_, relative) in largest.items():
        if not relative <= TOLERANCE:  # true for NaN, too
            raise UserError(
                f"exported {name} differ by {relative:.2g} of their largest value, more than "
                f"{TOLERANCE:g}: nothing was written"
            )


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    return console.run(build_parser(), export_model, argv)


if __name__ == "__main__":
    console.end_process(main)
