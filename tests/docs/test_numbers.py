"""Decimals in the text about studies in docs/results.md are those of the results."""

import re

import pytest

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
    """Numbers in the tables of a section and of the claims, and in the files that it links."""
    texts = [found[0] for found in BLOCK.finditer(section)]
    texts += [found[0] for found in BLOCK.finditer(PAGE) if found[2] == "claims"]
    for link in re.findall(r"\]\(\.\./(benchmarks/[^)#]+)\)", section):
        files = sorted((ROOT / link).iterdir())
        texts += [file.read_text().splitlines()[-1] for file in files if file.suffix == ".csv"]
        texts += [file.read_text() for file in files if re.search(r"(?<!run)\.json$", file.name)]
    numbers = {float(number) for text in texts for number in NUMBER.findall(text)}
    for name in STUDY.findall(section):
        parts = load(name).reduced
        options = " ".join(more for part in parts for more in part.extra.values())
        numbers |= {rate for part in parts for loss in part.losses for rate in part.rates_of(loss)}
        numbers |= {float(number) for number in NUMBER.findall(options)}
        searched = [run for run in read_runs(STORED / name) if run.name.endswith("_val")]
        numbers |= {run.last for run in searched if run.last is not None}
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


def test_wrong_accuracies_would_be_found():
    found, count = 0, 0
    for section in SECTIONS.values():
        numbers = measured(section)
        shown = DECIMAL.findall(BLOCK.sub("", section))
        wrong = [
            f"{float(decimal) + change:.1f}"
            for decimal in shown
            for change in (-0.7, 0.7)
            if float(decimal) > 10
        ]
        count += len(wrong)
        found += len(unknown(" ".join(wrong), numbers))
    assert found > 0.6 * count > 30


def test_the_loss_to_start_with_is_recommended_in_every_row():
    readme = (ROOT / "README.md").read_text()
    loss = re.search(r"Start with ([\w +-]+) \(", readme)[1]
    (table,) = (found[0] for found in BLOCK.finditer(readme) if found[2] == "advice")
    recommended = [line.split(" | ")[2] for line in table.split("\n") if line.startswith("| ")][2:]
    assert len(recommended) > 10
    assert all(row == "any" or loss in row.split(" or ") for row in recommended)
