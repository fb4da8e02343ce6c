"""Decimals in the text about studies in docs/results.md are those of the results."""

import re
import statistics

import pytest

from studies.choice import outcome
from studies.reports.comparison import SIGNIFICANT, welch
from studies.reports.overview import WORSE
from studies.reports.pages import BLOCK
from studies.results import STORED, read_runs, runs_of
from studies.study import NAMES, load
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


def overview_table() -> list[list[str]]:
    readme = (ROOT / "README.md").read_text()
    (table,) = (found[0] for found in BLOCK.finditer(readme) if found[2] == "overview")
    rows = [line.strip("| ").split(" | ") for line in table.split("\n") if line.startswith("| ")]
    return rows[2:]


def test_no_row_contradicts_what_the_readme_says_of_the_losses():
    readme = (ROOT / "README.md").read_text()
    assert "in the table below, it is never significantly behind cross-entropy" in readme
    assert len(overview_table()) > 10
    assert not any(WORSE in cell for row in overview_table() for cell in row)


def test_the_cosine_loss_is_behind_only_where_the_readme_says_so():
    assert (
        "After few steps at untuned rates, both can be behind, as on [open sets]"
        in (ROOT / "README.md").read_text()
    )
    behind = {
        study.name
        for study, part, dataset, protocol, runs in reported()
        for p, lead in [compared(part, dataset, protocol, runs, "xent", "cosine")]
        if p is not None and p < SIGNIFICANT and lead < 0
    }
    assert behind == {"open-set"}


def test_adding_cross_entropy_makes_no_significant_difference():
    assert "makes no significant difference there" in (ROOT / "README.md").read_text()
    tested = [
        p
        for study, part, dataset, protocol, runs in reported()
        if dataset not in part.superseded and study.name not in ("open-set", "verification")
        for p, _ in [compared(part, dataset, protocol, runs, "cosine", "cosine+xent")]
        if p is not None
    ]
    assert len(tested) > 10 and min(tested) >= SIGNIFICANT


def reported():
    """Every part of a study with its data sets, its protocols and its runs."""
    for study in map(load, NAMES):
        stored = read_runs(STORED / study.name)
        for part in study.reduced:
            runs = runs_of(stored, part)
            for dataset in part.datasets:
                for protocol in part.shown:
                    yield study, part, dataset, protocol, runs


def compared(part, dataset, protocol, runs, first, second):
    """The p-value of a difference between two losses, and the difference; None without a test."""
    if not {first, second} <= set(part.losses):
        return None, None
    sides = [outcome(part, (dataset, loss), protocol, runs).values for loss in (first, second)]
    if not all(sides):
        return None, None
    return welch(*sides), statistics.fmean(sides[1]) - statistics.fmean(sides[0])
