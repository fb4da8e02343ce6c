"""The page of a report: contents, no external resources, escaped text."""

import re
from base64 import b64decode
from dataclasses import replace
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from reporting.page import MOST_CLASSES, Page, Search, render, thumbnail
from reporting.predictions import Mistake, Predictions
from reporting.runs import Run

EVIL = '<script>alert("1")</script>&amp;'
VOID = {"meta", "link", "br", "wbr", "img", "line", "circle"}


class Parsed(HTMLParser):
    """Tags, attributes and text of a page; refuses tags that do not match."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.attributes, self.text, self._open = [], [], [], []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *attribute) for attribute in attrs]
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


def run_of(name="a run", **final):
    epochs = [
        {"epoch": 1.0, "loss": 2.0, "acc": 0.3, "val_loss": 2.5, "val_acc": 0.2},
        {"epoch": 2.0, "loss": 1.0, "acc": 0.5, "val_loss": float("nan"), "val_acc": float("nan")},
    ]
    facts = {
        "command": f"python learn_classifier.py --data_root '{EVIL}'",
        "held_out": False,
        "tested": 20,
        "metric": "acc",
        "accuracy": 0.8,
        "average": 0.75,
        "versions": {"keras": "3"},
        "commit": "0123456789abcdef",
        "identity": "",
    }
    return Run(name, Path("history.csv"), epochs, **facts | final)


def predictions_of(classes=3):
    names = (EVIL, *(f"class {i}" for i in range(1, classes)))
    labels = np.array([0, 0, 1, 1, 1, 2])
    predicted = np.array([0, 2, 1, 1, 0, 2])
    pixels = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    worst = (Mistake(f"{EVIL}.png", 0, 2, 0.5, pixels), Mistake("b.png", 1, 0, 0.25, pixels))
    return Predictions(names, labels, predicted, "probability", worst)


SEARCH = Search(
    [
        {"objective": "xent", "learning_rate": 0.1, "weight_decay": 1e-4, "size": 32}
        | {
            "augmentation": EVIL,
            "ema": 0.0,
            "status": "finished",
            "epochs": 2,
            "accuracy": 0.5,
            "seconds": 3,
        },
        {"objective": "cosine", "learning_rate": 0.2, "weight_decay": 1e-3, "size": 64}
        | {
            "augmentation": "plain",
            "ema": 0.5,
            "status": "failed",
            "epochs": 0,
            "accuracy": None,
            "seconds": 1,
        },
        {"objective": "cosine", "learning_rate": 0.2, "weight_decay": 1e-3, "size": 64}
        | {
            "augmentation": "plain",
            "ema": 0.99,
            "status": "finished",
            "epochs": 2,
            "accuracy": 0.75,
        }
        | {"seconds": 1},
    ],
    [(0.25, 0.5), (), (0.5, 0.75)],
    2,
)


def page_of(classes=3):
    run = run_of()
    return Page(
        f"Title {EVIL}",
        [run],
        [(EVIL, f"python x.py '{EVIL}'")],
        [f"Fact {EVIL}"],
        SEARCH,
        {run.history: predictions_of(classes)},
    )


@pytest.fixture(scope="module")
def parsed():
    return Parsed(render(page_of()))


def test_names_stay_text(parsed):
    assert "script" not in parsed.tags
    assert parsed.words.count("alert") >= 9
    assert not [a for a in parsed.attributes if a[1].startswith("on")]


def test_lines_may_break_within_long_names():
    page = page_of()
    names = ("Black_footed_Albatross", *(f"class {i}" for i in (1, 2)))
    found = replace(predictions_of(), class_names=names)
    page.predictions = {run: found for run in page.predictions}
    assert "<b>Black_<wbr>footed_<wbr>Albatross</b>, taken for <b>class 2</b>" in render(page)


def test_nothing_is_loaded_from_elsewhere(parsed):
    addresses = [value for _, name, value in parsed.attributes if name in ("src", "href", "data")]
    assert addresses and all(address.startswith("data:") for address in addresses)
    text = render(page_of())
    assert not re.search(r"https?:|//[a-z]|@import|url\(", text)
    (policy,) = [v for _, name, v in parsed.attributes if name == "content" and "default-src" in v]
    assert "default-src 'none'" in policy


def test_accuracy_and_its_interval(parsed):
    # 16 of 20: Wilson 0.5840 to 0.9193.
    assert "80.0 % of 20 test images are classified correctly" in parsed.words
    assert "58.4 % – 91.9 % 95 % confidence interval" in parsed.words
    assert "75.0 % mean of the accuracies" in parsed.words


def test_classes_from_the_worst_to_the_best(parsed):
    rows = re.findall(r"(class \d|<script>\S+) (\d) (\d) (\d+\.\d) % \d", parsed.words)
    assert [(n[:7], int(i), int(c), float(a)) for n, i, c, a in rows] == [
        ("<script", 2, 1, 50.0),
        ("class 1", 3, 2, 66.7),
        ("class 2", 1, 1, 100.0),
    ]


def test_mistakes_are_pictures_of_their_own_content(parsed):
    images = [value for tag, name, value in parsed.attributes if (tag, name) == ("img", "src")]
    assert len(images) == 2
    content = b64decode(images[0].removeprefix("data:image/png;base64,"))
    pixels = np.asarray(Image.open(BytesIO(content)))
    assert pixels.tolist() == predictions_of().worst[0].pixels.tolist()
    assert "is class 1 , taken for" in parsed.words and "(+0.25)" in parsed.words


def test_gray_and_float_images_have_pictures_too():
    gray = np.array([[[-3.0], [300.0]]], np.float32)
    content = b64decode(thumbnail(gray).partition(",")[2])
    assert np.asarray(Image.open(BytesIO(content))).tolist() == [[0, 255]]


def test_confusion_is_a_table_of_few_classes_and_a_list_of_pairs_of_many():
    few, many = (Parsed(render(page_of(classes))) for classes in (3, MOST_CLASSES + 1))
    assert "Rows are the true classes" in few.words and "Rows are" not in many.words
    for page in (few, many):
        pairs = page.words.partition("Confused most often")[2]
        assert "class 2 1" in pairs and "class 1 <script>" in pairs


def test_trials_commands_and_versions(parsed):
    assert "3 trials" in parsed.words and "failed" in parsed.words
    assert "75.0 %" in parsed.words and "best" in [
        v for _, n, v in parsed.attributes if n == "class"
    ]
    assert f"python x.py '{EVIL}'" in parsed.words
    assert "keras 3; code 0123456789ab" in parsed.words


def test_several_runs_have_a_table_and_a_diverged_one_no_interval():
    runs = [run_of("one"), run_of("two", accuracy=float("nan"), average=float("nan"))]
    words = Parsed(render(Page("Both", runs, []))).words
    assert "one 20 80.0 % 58.4 % – 91.9 % 75.0 %" in words
    assert "two 20 nan % nan %" in words
