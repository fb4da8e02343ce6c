"""Names of data sets: a registered base name and suffixes that change how it is used."""

import inspect
import re
from dataclasses import dataclass

from datasets.base import DATASETS
from utils import UsageError, unknown_name

_SUFFIX = re.compile(
    r"(?P<rest>.+)-(?P<suffix>ilsvrcmean|caffe|large|sub(?P<count>[0-9]{1,9}))", re.I
)


@dataclass(frozen=True)
class DatasetName:
    """The parts of a name like ``CUB-sub5-caffe``."""

    base: str  # the name as registered
    # ``"ilsvrcmean"``, ``"caffe"``, or None for the data set's own mean
    normalization: str | None = None
    large: bool = False  # images are resized to 512 pixels and cropped to 448
    per_class: int | None = None  # training images kept of each class, or None for all
    # part of the data set, in lower case, such as the supercategory of ``iNat_Aves``, or None
    part: str | None = None


def parse_name(name: str) -> DatasetName:
    """Split a name into base and suffixes, which may be in any order and case.

    Raises:
        UsageError: there is no such data set, or the suffixes contradict each other.
    """
    rest, parts = name, {}
    while rest not in DATASETS:
        match = _SUFFIX.fullmatch(rest)
        if not match:
            base, _, part = rest.partition("_")
            if not part or not _has_parts(base):
                raise unknown_name("data set", name, DATASETS.names())
            rest, parts["part"] = base, part.lower()
            continue
        rest = match["rest"]
        key, value = _meaning(match)
        if key in parts:
            raise UsageError(f"data set {name!r} has two suffixes of the same kind")
        parts[key] = value
    if parts.get("per_class") == 0:
        raise UsageError(f"data set {name!r} would keep no training samples")
    base = next(known for known in DATASETS.names() if known.lower() == rest.lower())
    return DatasetName(base, **parts)


def _has_parts(base: str) -> bool:
    return base in DATASETS and "part" in inspect.signature(DATASETS.get(base)).parameters


def _meaning(match: re.Match) -> tuple[str, object]:
    if match["count"] is not None:
        return "per_class", int(match["count"])
    suffix = match["suffix"].lower()
    return ("large", True) if suffix == "large" else ("normalization", suffix)
