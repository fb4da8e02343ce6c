"""AG News: titles and descriptions of news articles in four classes.

Zhang, Zhao & LeCun, Character-level Convolutional Networks for Text Classification (NIPS 2015),
https://arxiv.org/abs/1509.01626; the files of the archive ``ag_news_csv``.
"""

from pathlib import Path

from datasets.base import DATASETS, RawSplit, ReaderArgs, require_root
from datasets.text.dataset import RawTextDataset
from datasets.text.documents import csv_rows
from utils import UserError, read_lines

_CLASSES = "classes.txt"
_PARTS = ("train.csv", "test.csv")


@DATASETS.register("AG-News")
def read_ag_news(args: ReaderArgs) -> RawTextDataset:
    """Read AG News; a document consists of its title and its description.

    An epoch is one pass over a subset: the paper keeps the number of iterations only for images.
    """
    root = require_root(args, "AG-News", _CLASSES, *_PARTS)
    class_names = dict(enumerate(read_lines(root / _CLASSES), 1))
    if not class_names or len(set(class_names.values())) < len(class_names):
        raise UserError(f"{root / _CLASSES}: expected a line with a distinct name for each class")
    train, test = (_read(root / part, len(class_names)) for part in _PARTS)
    return RawTextDataset(train, test, class_names=class_names, full_per_class=1)


def _read(path: Path, classes: int) -> RawSplit:
    labels, texts, names = [], [], []
    for line, row in csv_rows(path):
        label, text = _parsed(f"{path}:{line}", row, classes)
        labels.append(label)
        texts.append(text)
        names.append(f"{path.name}:{line}")
    return RawSplit(tuple(texts), labels, names)


def _parsed(where: str, row: list[str], classes: int) -> tuple[int, str]:
    if len(row) != 3:
        raise UserError(f"{where}: expected class, title and description, found {len(row)} columns")
    label, title, description = row
    number = int(label) if label.isascii() and label.isdecimal() and len(label) < 10 else 0
    if not 1 <= number <= classes:
        raise UserError(f"{where}: expected a class from 1 to {classes}, found {label[:20]!r}")
    return number, f"{title} {description}"
