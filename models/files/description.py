"""The description of a saved model: its classes, its input, and how it classifies.

It is stored in the model file as ``.npz``, with text as JSON and class embeddings as arrays. Keras
ignores it, so the file can be loaded anywhere.
"""

import io
import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from models.decisions import DECISIONS
from storage.hdf5 import is_hdf5, open_hdf5
from storage.npz import float_vectors, read_member, read_npz
from utils import UserError, one_line

MEMBER = "description.npz"
"""Name of the description in the archive (``.keras``) or among the HDF5 data sets (``.h5``)."""

_LARGEST = 2**28  # bytes; the 1,000 classes of ImageNet need 4 MB, a million words some 50
_MOST_WORDS = 2**24  # per document
_MAX_SIDE = 2**16  # pixels, the limit of JPEG


@dataclass(frozen=True, eq=False)
class Output:
    """One output of a network."""

    name: str  # name of the output layer
    decision: str  # decision rule, a key of models.decisions.DECISIONS
    # float32 (classes, dimensions) if the decision compares the output with class embeddings
    class_vectors: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class ModelDescription:
    """Everything needed to classify images or documents with a saved model."""

    dataset: str  # name of the data set it was trained on
    labels: tuple[int, ...] | tuple[str, ...]  # original label of each class
    class_names: tuple[str, ...]  # name of each class
    # 3 for RGB, 1 for gray, others are bands; None for documents, like the next two
    channels: int | None = None
    target_size: int | None = None  # pixels to which the shorter side of an image is resized
    crop_size: int | None = None  # height and width of the center crop, in pixels
    outputs: tuple[Output, ...] = ()  # one for each output of the network; the last one classifies
    # Words that the network knows, see datasets.text.vocabulary; None for images
    words: tuple[str, ...] | None = None
    length: int | None = None  # words to which documents are cut or padded; None for images

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of a sample: height, width and channels, or the number of words."""
        if self.words is not None:
            return (self.length,)
        return self.crop_size, self.crop_size, self.channels

    @property
    def classifying(self) -> Output:
        return self.outputs[-1]

    @property
    def class_embeddings(self) -> np.ndarray:
        """Targets of the first output, (classes, dimensions); one-hot vectors are not stored."""
        vectors = self.outputs[0].class_vectors
        return np.eye(len(self.labels), dtype=np.float32) if vectors is None else vectors

    @property
    def names(self) -> dict[str, str]:
        """Name of each class by its label as text."""
        return dict(zip(map(str, self.labels), self.class_names, strict=True))


_VECTORS = "class_vectors_{}"
_PLAIN = ("dataset", "labels", "class_names")
_OF_IMAGES = ("channels", "target_size", "crop_size")
_OF_TEXTS = ("words", "length")


def attach(description: ModelDescription, path: str | Path) -> None:
    """Add the description to a model file that Keras has just written, ``.keras`` or ``.h5``."""
    content = _encode(description)
    if Path(path).suffix == ".h5":
        with h5py.File(path, "a") as file:
            file.create_dataset(MEMBER, data=np.frombuffer(content, np.uint8))
        return
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, content)


def read_description(path: str | Path) -> ModelDescription:
    """Read the description in a model file.

    Raises:
        UserError: the file is missing or damaged, or has none.
    """
    description = find_description(path)
    if description is None:
        raise UserError(
            f"{path} does not say which classes it knows: use a model written by --model_dump of "
            "this project or, for one of the published code, give --architecture to commands that "
            "have it"
        )
    return description


def find_description(path: str | Path) -> ModelDescription | None:
    """Read the description in a model file, or return None if it has none.

    Raises:
        UserError: the file is missing or damaged.
    """
    try:
        is_hdf5_file = Path(path).suffix == ".h5"
        content = _read_hdf5(path) if is_hdf5_file else read_member(path, MEMBER)
    except FileNotFoundError as error:
        raise UserError(f"there is no model file {path}") from error
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{path} is not a model file or is damaged: {error}") from error
    if content is None:
        return None
    try:
        return _decode(content)
    except KeyError as error:
        raise UserError(f"the description in {path} is damaged: it lacks {error}") from error
    except (TypeError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(f"the description in {path} is damaged: {error}") from error


def _read_hdf5(path: str | Path) -> bytes | None:
    if not is_hdf5(path):
        raise ValueError("it is not an HDF5 file")
    try:
        with open_hdf5(path) as file:
            if MEMBER not in file:
                return None
            stored = file[MEMBER]
            if stored.dtype != np.uint8:
                raise ValueError("its description has another type")
            return stored[()].tobytes()
    except Exception as error:  # h5py raises almost anything for damaged files
        raise ValueError(one_line(error)) from error


def _encode(description: ModelDescription) -> bytes:
    kind = _OF_IMAGES if description.words is None else _OF_TEXTS
    plain = {name: getattr(description, name) for name in (*_PLAIN, *kind)}
    plain["labels"] = [x.item() if isinstance(x, np.generic) else x for x in description.labels]
    plain["outputs"] = [[output.name, output.decision] for output in description.outputs]
    vectors = {
        _VECTORS.format(i): output.class_vectors
        for i, output in enumerate(description.outputs)
        if output.class_vectors is not None
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, text=np.array(json.dumps(plain)), **vectors)
    return buffer.getvalue()


def _decode(content: bytes) -> ModelDescription:
    """Return the description; raise unless it is what ``_encode`` writes."""
    plain = _json(content)
    labels, class_names = _list(plain, "labels"), _list(plain, "class_names")
    if not labels or len(labels) != len(class_names):
        raise ValueError(f"{len(labels)} labels for {len(class_names)} class names")
    if not (_are(int, labels) or _are(str, labels)):
        raise ValueError("labels must be all whole numbers or all text")
    if not _are(str, [plain["dataset"], *class_names]):
        raise ValueError("names must be text")
    outputs = _outputs(content, plain, len(labels))
    kind = _of_texts(plain) if "words" in plain else _of_images(plain)
    return ModelDescription(plain["dataset"], labels, class_names, outputs=outputs, **kind)


def _of_images(plain: Mapping) -> dict[str, object]:
    sizes = [plain[name] for name in _OF_IMAGES]
    if not (_are(int, sizes) and 0 < min(sizes) <= max(sizes) < _MAX_SIDE):
        raise ValueError(f"{sizes} are not channels and sizes of images")
    return dict(zip(_OF_IMAGES, sizes, strict=True))


def _of_texts(plain: Mapping) -> dict[str, object]:
    words, length = _list(plain, "words"), plain["length"]
    if not _are(str, words) or len(set(words)) < len(words):
        raise ValueError("words must be distinct texts")
    if not _are(int, [length]) or not 0 < length <= _MOST_WORDS:
        raise ValueError(f"{length!r} is not a possible number of words")
    return {"words": words, "length": length}


def _json(content: bytes) -> dict:
    text = read_npz(io.BytesIO(content), ["text"], _LARGEST)["text"]
    if text.shape or text.dtype.kind != "U":
        raise ValueError("its text is not stored as text")
    plain = json.loads(text.item())
    if not isinstance(plain, dict):
        raise ValueError("its text is not a JSON object")
    return plain


def _list(plain: Mapping, name: str) -> tuple:
    if not isinstance(plain[name], list):
        raise ValueError(f"{name} is not a list")
    return tuple(plain[name])


def _are(kind: type, values: Iterable) -> bool:
    return all(type(value) is kind for value in values)


def _outputs(content: bytes, plain: Mapping, num_classes: int) -> tuple[Output, ...]:
    pairs = _list(plain, "outputs")
    if not pairs:
        raise ValueError("it has no outputs")
    members = [_VECTORS.format(i) for i in range(len(pairs))]
    vectors = read_npz(io.BytesIO(content), members, _LARGEST)
    return tuple(
        _output(pair, vectors.get(member), num_classes)
        for pair, member in zip(pairs, members, strict=True)
    )


def _output(pair: object, vectors: np.ndarray | None, num_classes: int) -> Output:
    if not isinstance(pair, list) or len(pair) != 2 or not _are(str, pair):
        raise ValueError("an output must be a name and a decision")
    name, decision = pair
    if decision not in DECISIONS:
        raise ValueError(f"unknown decision {decision!r}; known are: {', '.join(DECISIONS)}")
    if vectors is None:
        if DECISIONS[decision].compares:
            raise ValueError(f"the output {name!r} lacks class embeddings")
        return Output(name, decision)
    vectors = float_vectors(vectors)
    if vectors.ndim != 2 or len(vectors) != num_classes or not vectors.size:
        raise ValueError(
            f"class embeddings of shape {vectors.shape} do not fit {num_classes} classes"
        )
    if not np.isfinite(vectors).all():
        raise ValueError("class embeddings have values that are not finite")
    return Output(name, decision, vectors)
