"""iNaturalist 2018 and 2019: https://github.com/visipedia/inat_comp

Annotations are JSON files in the layout of COCO. ``iNat_Aves`` is one supercategory of 2018.
"""

import json
from pathlib import Path

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.published import INAT_2018_PARTS, PUBLISHED, PublishedInput
from datasets.readers.annotations import file_split
from utils import UsageError, UserError, read_bytes, unknown_name


@DATASETS.register("iNat", "iNat2018")
def read_inat(args: ReaderArgs, part: str | None = None) -> RawImageDataset:
    """Read iNaturalist 2018, or one supercategory of it."""
    if part is None:
        return _read(args, 2018, PUBLISHED["iNat"])
    if part not in INAT_2018_PARTS:
        raise unknown_name("supercategory of iNat", part, INAT_2018_PARTS)
    return _read(args, 2018, PUBLISHED[f"iNat_{part}"], part)


@DATASETS.register("iNat2019")
def read_inat2019(args: ReaderArgs, part: str | None = None) -> RawImageDataset:
    """Read iNaturalist 2019."""
    if part is not None:
        raise UsageError("iNat2019 has no supercategories; iNat (2018) has")
    return _read(args, 2019, PUBLISHED["iNat2019"])


def _read(
    args: ReaderArgs, year: int, published: PublishedInput, part: str | None = None
) -> RawImageDataset:
    files = (f"train{year}.json", f"val{year}.json")
    root = require_root(args, f"iNat{year}", *files)
    contents = [_load(root / file) for file in files]
    labels = _labels(root / files[0], contents[0], part)
    return RawImageDataset(
        *(
            _read_split(root, root / file, content, labels)
            for file, content in zip(files, contents, strict=True)
        ),
        class_names={
            labels[entry["id"]]: str(entry["name"])
            for entry in contents[0]["categories"]
            if entry["id"] in labels
        },
        **published._asdict(),
    )


_LARGEST = 2**30  # bytes; the largest published annotation file has 0.3 GB
_ENTRIES = {
    "images": {"id": int, "file_name": str},
    "annotations": {"image_id": int, "category_id": int},
    "categories": {"id": int, "name": str},
}


def _load(path: Path) -> dict:
    """Load an annotation file whose entries have the fields of ``_ENTRIES``."""
    try:
        content = json.loads(read_bytes(path, _LARGEST))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not JSON: {error}") from error
    for key, fields in _ENTRIES.items():
        entries = content.get(key) if isinstance(content, dict) else None
        if not isinstance(entries, list):
            raise UserError(f"{path} has no list {key!r}")
        for position, entry in enumerate(entries):
            for field, kind in fields.items():
                if not isinstance(entry, dict) or type(entry.get(field)) is not kind:
                    raise UserError(f"{path}: entry {position} of {key!r} has no proper {field!r}")
    return content


def _labels(path: Path, content: dict, part: str | None) -> dict[int, int]:
    """Map category IDs to class labels: their rank by ascending ID within the supercategory."""
    ids = [
        entry["id"]
        for entry in content["categories"]
        if part is None or str(entry.get("supercategory")).lower() == part
    ]
    if not ids:
        raise UserError(f"{path} has no category of the supercategory {part!r}")
    return {identifier: label for label, identifier in enumerate(sorted(ids))}


def _read_split(root: Path, path: Path, content: dict, labels: dict[int, int]) -> RawSplit:
    categories = {entry["image_id"]: entry["category_id"] for entry in content["annotations"]}
    known = {entry["id"] for entry in content["categories"]}
    names, chosen = [], []
    for entry in content["images"]:
        category = categories.get(entry["id"])
        if category not in known:
            raise UserError(f"{path}: image {entry['id']} has no category")
        if category in labels:
            names.append(entry["file_name"])
            chosen.append(labels[category])
    return file_split(root, names, chosen)
