"""Decimals in the text about studies in docs/results.md are those of the results."""

import re

import pytest

from studies.reports.description import description
from studies.reports.pages import BLOCK
from studies.results import STORED, read_runs
from studies.study import load
from tests.docs.documents import ROOT

PAGE = (ROOT / "docs" / "results.md").read_text()
READABLE = (".md", ".csv", ".json")
NUMBER = re.compile(r"(?<![\w.])\d+\.?\d*(?:e-\d+)?")
DECIMAL = re.compile(r"(?<![\w.])\d+\.\d+")
STUDY = re.compile(r"\]\(\.\./studies/results/([\w-]+)/report\.md\)")
SECTIONS = {part.partition("\n")[0]: part for part in PAGE.split("\n## ")[1:] if STUDY.search(part)}


def measured(section: str) -> set[float]:
    """Numbers in the tables of the page and in the files that a section links, in percent, too."""
    texts = [found[0] for found in BLOCK.finditer(PAGE)]
    for link in re.findall(r"\]\(\.\./([^)#]+)\)", section):
        path = ROOT / link
        files = path.rglob("*") if path.is_dir() else [path]
        texts += [file.read_text() for file in files if file.suffix in READABLE]
    accuracies = []
    for name in STUDY.findall(section):
        texts += description(load(name))
        texts += [options for part in load(name).reduced for options in part.extra.values()]
        searched = [run for run in read_runs(STORED / name) if run.name.endswith("_val")]
        accuracies += [run.last for run in searched if run.last is not None]
    numbers = {float(number) for text in texts for number in NUMBER.findall(text)} | {*accuracies}
    return numbers | {100 * value for value in numbers if value <= 1}


def unknown(text: str, numbers: set[float]) -> list[str]:
    """Return the decimals of a text that are none of the numbers, rounded as they are."""
    rounded: dict[int, set[float]] = {}
    wrong = []
    for decimal in DECIMAL.findall(re.sub(r"`[^`]*`|\]\([^)]*\)|Sections? [\d.]+", "", text)):
        digits = len(decimal.partition(".")[2])
        known = rounded.setdefault(digits, {round(value, digits) for value in numbers})
        if float(decimal) not in known:
            wrong.append(decimal)
    return wrong


@pytest.mark.parametrize("title", SECTIONS)
def test_decimals_in_the_text_are_measured(title):
    section = SECTIONS[title]
    assert unknown(BLOCK.sub("", section), measured(section)) == []


def test_another_decimal_would_be_found():
    section = SECTIONS["AG News"]
    numbers = measured(section)
    assert unknown("it reaches 70.9 %, p = 0.31415", {60.9, 0.3141}) == ["70.9", "0.31415"]
    assert unknown("12.34567 % of `--rate 0.7`", numbers) == ["12.34567"]
