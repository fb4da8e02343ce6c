"""Model files of the published code: the network is rebuilt, and its weights are loaded by name.

The Keras 2 network in such a file has a Lambda layer and is not built. Instead, layer names show
which heads it has, and the shapes of weights their sizes. ``Facts`` provide what is not in the
file.
"""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import keras
import numpy as np

from models import build_network, check_architecture
from models.files.configurations import without_values
from models.files.description import ModelDescription, Output, read_description
from models.files.saved import compare_weights, load_model, load_weights
from models.files.weights import layer_graph, layer_names, open_weights
from models.heads import NORMALIZATIONS, classifier_head, embedding_head
from utils import UsageError, UserError, listing

logger = logging.getLogger(__name__)

_CLASSIFIERS = ("prob", "fc1000")
_DENSENET = "dense_1"  # the last layer of DenseNets, classifier or embedding
_DECISIONS = {"l2norm": "dot", "softmax": "largest", None: "distance"}
"""Decision rules for comparing an embedding with class embeddings, by its normalization."""
_MOST = 1_000_000  # largest dimension of a weight
_UNNAMED = re.compile(r"batch_normalization(_\d+)?")


@dataclass(frozen=True)
class Facts:
    """Facts about a model that files of the published code lack."""

    architecture: str  # name of the network
    dataset: str  # name of the data set it was trained on
    channels: int  # number of image channels
    mean: Sequence[float]  # per channel, in RGB order, of pixels from 0 to 255
    std: Sequence[float]  # likewise
    bgr: bool  # whether the network takes the channels in reverse order
    target_size: int  # pixels to which the shorter side of an image is resized
    crop_size: int  # height and width of the center crop, in pixels
    # Original label of each class; None: they are numbered from 0
    labels: Sequence[int | str] | None = None
    # Name of each class by its label as text; others are named by their label
    class_names: Mapping[str, str] = field(default_factory=dict)
    vectors: np.ndarray | None = None  # class embeddings, (classes, dimensions); None: one-hot


@dataclass(frozen=True)
class _Heads:
    """Output layers of the network."""

    dimensions: int | None  # dimension of the embedding; None: a plain classifier
    normalization: str | None  # normalization of the embedding, a key of NORMALIZATIONS
    classes: int | None  # number of classes of the classifier; None: there is none
    classifier: str = "prob"  # name of the classifier's layer


def open_model(path: Path, facts: Facts | None) -> tuple[keras.Model, ModelDescription]:
    """Load a model of this project or, given facts, of the published code.

    Raises:
        UsageError: the facts do not fit the file.
        UserError: the file is damaged, or its weights do not fill the network.
    """
    if facts is None:
        return load_model(path)
    return _rebuilt(path, facts), describe(path, facts)


def check_name(path: Path, model: keras.Model, architecture: str) -> None:
    """Raise UsageError if a network of this project has another architecture."""
    if model.name != architecture.lower():
        raise UsageError(f"--architecture {architecture}: the network of {path} is a {model.name}")


def read_or_describe(path: Path, facts: Facts | None) -> ModelDescription:
    """Return the description in the file or, given facts, that of a published model."""
    return read_description(path) if facts is None else describe(path, facts)


def describe(path: Path, facts: Facts) -> ModelDescription:
    """Describe the model in a file of the published code.

    An embedding is compared with class embeddings by dot product if it is L2-normalized, by the
    largest element if it passes a softmax, and otherwise by Euclidean distance. Without class
    embeddings, one-hot ones are assumed.

    Raises:
        UsageError: the facts have another number of classes or dimensions than the file.
        UserError: the file cannot be read.
    """
    heads = _heads(path, facts)
    labels = facts.labels if facts.labels is not None else range(heads.classes or heads.dimensions)
    if heads.classes not in (None, len(labels)):
        raise UsageError(f"{path} distinguishes {heads.classes} classes, not {len(labels)}")
    outputs = [_embedding_output(path, heads, facts, len(labels))] if heads.dimensions else []
    if heads.classes:
        outputs.append(Output(heads.classifier, "output"))
    return ModelDescription(
        facts.dataset,
        tuple(labels),
        tuple(facts.class_names.get(str(label), str(label)) for label in labels),
        facts.channels,
        facts.target_size,
        facts.crop_size,
        tuple(outputs),
    )


def _embedding_output(path: Path, heads: _Heads, facts: Facts, classes: int) -> Output:
    name = heads.normalization or "embedding"
    if facts.vectors is None:
        if heads.dimensions != classes and not heads.classes:
            raise UsageError(
                f"the embedding in {path} has {heads.dimensions} dimensions for {classes} classes: "
                "give the class embeddings with --classes_from"
            )
        if not heads.classes:
            logger.warning("%s: without --classes_from, assuming one-hot class embeddings", path)
        return Output(name, "output")
    if facts.vectors.shape[1] != heads.dimensions:
        raise UsageError(
            f"the embedding in {path} has {heads.dimensions} dimensions, but the class embeddings "
            f"have {facts.vectors.shape[1]}"
        )
    return Output(name, _DECISIONS[heads.normalization], facts.vectors)


def _heads(path: Path, facts: Facts) -> _Heads:
    names = layer_names(path)
    with open_weights(path) as stored:
        shapes = {name: weights[0].shape for name, weights in stored.items()}
    if not all(0 < size <= _MOST for shape in shapes.values() for size in shape):
        raise UserError(f"{path} has layers without weights, or far too many")
    classifier = next((name for name in _CLASSIFIERS if name in shapes), None)
    classes = shapes[classifier][-1] if classifier else None
    normalization = next((name for name in NORMALIZATIONS if name in names), None)
    if "embedding" in shapes:
        return _Heads(shapes["embedding"][-1], normalization, classes)
    family = check_architecture(facts.architecture)
    if family == "models.backbones.densenet" and _DENSENET in shapes:
        size = shapes[_DENSENET][-1]
        if classes or normalization or facts.vectors is not None:
            return _Heads(size, normalization, classes)
        return _Heads(None, None, size, _DENSENET)
    # CIFAR ResNets may use pooled features as the embedding. An unnamed batch normalization then
    # shows that there is a classifier on top.
    has_names = family == "models.backbones.cifar_resnet"
    on_embedding = has_names and any(_UNNAMED.fullmatch(name) for name in shapes)
    if classifier and not normalization and not on_embedding:
        return _Heads(None, None, classes, classifier)
    channels = [shape[-1] for shape in shapes.values() if len(shape) == 4]
    if not channels:
        raise UserError(f"{path} has weights, but not of a network that the published code saves")
    return _Heads(max(channels), normalization, classes)


def _rebuilt(path: Path, facts: Facts) -> keras.Model:
    heads = _heads(path, facts)
    if heads.dimensions and check_architecture(facts.architecture).endswith("imagenet_resnet"):
        raise UsageError(
            f"--architecture {facts.architecture}: the published network applies softmax to "
            "embeddings, but this project's does not"
        )
    if heads.dimensions and heads.classes:
        _check_classifier(path, heads.classifier)
    report = compare_weights(without_values(lambda: _network(heads, facts)), path)
    if unfilled := report.unfilled:
        raise UserError(
            f"{path} does not fill the {facts.architecture}: {len(unfilled)} layers are missing or "
            f"have another shape, {listing(unfilled)}"
        )
    if report.unused:
        logger.warning("%s: layers that are not used: %s", path, listing(report.unused))
    model = _network(heads, facts)
    load_weights(model, path)
    return model


def _check_classifier(path: Path, classifier: str) -> None:
    """Raise UserError if the classifier takes another layer than the embedding, by --cls_base.

    A file with weights alone does not show this.
    """
    inputs, outputs = layer_graph(path)
    if not inputs:
        return
    # Between embedding and classifier are a ReLU and a batch normalization.
    base = classifier
    for _ in range(3):
        base = next(iter(inputs.get(base, ())), None)
    if base not in outputs[:1]:
        taken = f"the layer {base}" if base else "an unknown layer"
        raise UserError(
            f"the classifier in {path} takes {taken} (--cls_base): only those that take the "
            "embedding can be read"
        )


def _network(heads: _Heads, facts: Facts) -> keras.Model:
    model = build_network(
        facts.architecture,
        heads.dimensions or heads.classes,
        classifier=not heads.dimensions,
        input_shape=(facts.crop_size, facts.crop_size, facts.channels),
        channels=facts.channels,
        mean=facts.mean,
        std=facts.std,
        bgr=facts.bgr,
    )
    if heads.dimensions:
        model = embedding_head(model, heads.normalization)
        if heads.classes:
            model = classifier_head(model, heads.classes)
    return model
