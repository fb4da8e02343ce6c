"""What a saved model says about itself: its classes, the size of its images, how it classifies.

The description travels inside the model's file, as ``.npz``: text as JSON, class embeddings as
arrays. Keras ignores it, so the file still loads anywhere.
"""

import io
import json
import zipfile
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from utils import UserError

MEMBER = "description.npz"
"""Name of the description within the archive (``.keras``) or among the data sets (``.h5``)."""

_LARGEST = 256 * 2**20  # bytes; the 1,000 classes of ImageNet need 4 MB


@dataclass(frozen=True, eq=False)
class Output:
    """One output of a network.

    Attributes:
        name: of the layer.
        decision: how scores of classes follow, a key of ``evaluation.decisions.DECISIONS``.
        class_vectors: float32 (classes, dimensions) for decisions that compare the output with
            class embeddings, or None.
    """

    name: str
    decision: str
    class_vectors: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class ModelDescription:
    """What it takes to classify images with a saved model.

    Attributes:
        dataset: name of the data set that it was trained on.
        labels: original label of each class.
        class_names: name of each class.
        channels: 3 for RGB, 1 for gray.
        target_size: pixels that the shorter side of an image is resized to.
        crop_size: pixels of the square that is cut out of its centre.
        outputs: one for each output of the network; the last one classifies.
    """

    dataset: str
    labels: tuple[int, ...] | tuple[str, ...]
    class_names: tuple[str, ...]
    channels: int
    target_size: int
    crop_size: int
    outputs: tuple[Output, ...]

    @property
    def classifying(self) -> Output:
        """The output that classifies."""
        return self.outputs[-1]


_PLAIN = ("dataset", "labels", "class_names", "channels", "target_size", "crop_size")


def attach(description: ModelDescription, path: str | Path) -> None:
    """Adds the description to a model file that has none yet.

    Args:
        description: of the model.
        path: the file, just written by Keras; named ``.keras`` or ``.h5``.
    """
    content = _encode(description)
    if Path(path).suffix == ".h5":
        with h5py.File(path, "a") as file:
            file.create_dataset(MEMBER, data=np.frombuffer(content, np.uint8))
        return
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(MEMBER, content)


def read_description(path: str | Path) -> ModelDescription:
    """The description in a model file.

    Raises:
        UserError: the file is missing or damaged, or has none.
    """
    try:
        content = _read(Path(path))
    except FileNotFoundError as error:
        raise UserError(f"there is no model file {path}") from error
    except KeyError as error:
        raise UserError(
            f"{path} does not say which classes it knows: only models that --model_dump of this "
            "project wrote do"
        ) from error
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is not a model file or is damaged: {error}") from error
    try:
        return _decode(content)
    except (KeyError, TypeError, ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"the description in {path} is damaged: {error}") from error


def _read(path: Path) -> bytes:
    if path.suffix == ".h5":
        with h5py.File(path, "r") as file:
            stored = file[MEMBER]
            if stored.size > _LARGEST:
                raise ValueError("its description is far too large")
            return stored[()].tobytes()
    with zipfile.ZipFile(path) as archive:
        if archive.getinfo(MEMBER).file_size > _LARGEST:
            raise ValueError("its description is far too large")
        return archive.read(MEMBER)


def _encode(description: ModelDescription) -> bytes:
    plain = {name: getattr(description, name) for name in _PLAIN}
    plain["labels"] = np.asarray(description.labels).tolist()
    plain["outputs"] = [[output.name, output.decision] for output in description.outputs]
    vectors = {
        f"class_vectors_{i}": output.class_vectors
        for i, output in enumerate(description.outputs)
        if output.class_vectors is not None
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, text=np.array(json.dumps(plain)), **vectors)
    return buffer.getvalue()


def _decode(content: bytes) -> ModelDescription:
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        plain = json.loads(str(arrays["text"]))
        vectors = {name: arrays[name] for name in arrays.files if name != "text"}
    outputs = tuple(
        Output(name, decision, vectors.get(f"class_vectors_{i}"))
        for i, (name, decision) in enumerate(plain["outputs"])
    )
    labels, class_names = tuple(plain["labels"]), tuple(plain["class_names"])
    if not outputs or not labels or len(labels) != len(class_names):
        raise ValueError("outputs or classes are missing")
    return ModelDescription(
        plain["dataset"],
        labels,
        class_names,
        *(int(plain[name]) for name in ("channels", "target_size", "crop_size")),
        outputs,
    )
