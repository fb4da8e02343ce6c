"""iNaturalist 2018 and 2019: https://github.com/visipedia/inat_comp

Annotations are JSON files in the layout of COCO. ``iNat_Aves`` is one supercategory of 2018.
"""

import json
from pathlib import Path

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.images.dataset import RawImageDataset
from datasets.images.normalization import Normalization
from datasets.images.preprocessing import Preprocessing
from datasets.readers.annotations import file_split
from utils import UsageError, UserError, read_bytes, unknown_name

_2018 = Normalization(
    (119.99310088, 122.86333725, 102.38318464), (60.83471124, 59.33123704, 65.92057842)
)
_2019 = Normalization(
    (115.77492586, 120.84414891, 93.51744386), (60.46127213, 58.63136496, 63.5872299)
)
SUPERCATEGORIES = {
    "actinopterygii": Normalization(
        (95.60659929, 109.21340134, 99.53273934), (62.64981594, 56.77583425, 57.79043402)
    ),
    "amphibia": Normalization(
        (120.38820316, 112.09448704, 93.57291079), (64.38971069, 60.88945117, 60.689195)
    ),
    "animalia": Normalization(
        (117.86148813, 112.27558493, 100.76823038), (65.10786879, 60.9941875, 61.3212783)
    ),
    "arachnida": Normalization(
        (123.05328454, 123.11786486, 99.49669769), (62.10607939, 59.69295922, 64.12102046)
    ),
    "aves": Normalization(
        (125.68554284, 131.58931007, 123.51576605), (56.91926625, 57.04151665, 67.97284604)
    ),
    "bacteria": Normalization(
        (130.44253929, 118.58949652, 100.64353881), (63.52655078, 61.3866035, 62.52496727)
    ),
    "chromista": Normalization(
        (126.63609004, 120.30744082, 103.69842308), (61.3142875, 60.35121831, 64.33445667)
    ),
    "fungi": Normalization(
        (105.4904181, 98.20844854, 81.95195412), (66.43803547, 63.26916273, 61.75505097)
    ),
    "insecta": Normalization(
        (126.79141945, 126.55725101, 94.4626541), (62.46710552, 59.70656548, 64.38703598)
    ),
    "mammalia": Normalization(
        (119.32537707, 119.28610021, 105.22655576), (60.25561291, 58.86410094, 60.85549787)
    ),
    "mollusca": Normalization(
        (119.15865454, 107.82338741, 93.65438902), (65.54171188, 62.00986655, 62.64830566)
    ),
    "plantae": Normalization(
        (109.4558912, 115.78290918, 84.83970548), (60.36177593, 59.17162815, 60.81183456)
    ),
    "protozoa": Normalization(
        (99.4855571, 90.12976005, 71.67906874), (69.23439903, 63.83415135, 59.1059619)
    ),
    "reptilia": Normalization(
        (126.42469824, 119.44987437, 103.84680809), (63.4749642, 60.19704406, 60.20556052)
    ),
}
"""Mean and standard deviation of the supercategories of 2018 by name, in lower case."""


@DATASETS.register("iNat")
def read_inat(args: ReaderArgs) -> RawImageDataset:
    """Read iNaturalist 2018, or one supercategory of it."""
    if args.part is None:
        return _read(args, 2018, _2018)
    if args.part not in SUPERCATEGORIES:
        raise unknown_name("supercategory of iNat", args.part, SUPERCATEGORIES)
    return _read(args, 2018, SUPERCATEGORIES[args.part])


DATASETS.register("iNat2018")(read_inat)


@DATASETS.register("iNat2019")
def read_inat2019(args: ReaderArgs) -> RawImageDataset:
    """Read iNaturalist 2019."""
    if args.part is not None:
        raise UsageError("iNat2019 has no supercategories; iNat (2018) has")
    return _read(args, 2019, _2019)


def _read(args: ReaderArgs, year: int, normalization: Normalization) -> RawImageDataset:
    files = (f"train{year}.json", f"val{year}.json")
    root = require_root(args, f"iNat{year}", *files)
    contents = [_load(root / file) for file in files]
    labels = _labels(root / files[0], contents[0], args.part)
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
        preprocessing=Preprocessing((256, 480), 256, 224),
        normalization=normalization,
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
    """Map category ids to class labels: their rank by ascending id within the supercategory."""
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
