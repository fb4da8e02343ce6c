"""README and docs/: size, links, and commands with their options."""

import importlib
import re
import sys
from pathlib import Path

import pytest

from datasets import dataset_names
from models import architecture_names
from studies.definitions.paper.published import ONE_HOT, TABLE_2
from studies.reports.pages import PAGES, rendered
from studies.reports.report import REPORT, report
from studies.results import STORED
from studies.study import NAMES, load
from tests.docs.documents import (
    ROOT,
    anchors,
    blocks,
    commands,
    definitions,
    links,
    named_code,
    pages,
)

README = ROOT / "README.md"
PUBLISHED = Path(__file__).parent / "published_commands.md"
"""The shell blocks of the published README, as they stand there."""

WRITTEN_BY_RECIPES = ("datasets/readers/garden.py", "models/backbones/two_convolutions.py")

VALUES = {"$DSROOT": "data", "$DS": "CUB", "$LR": "0.1"}
"""Values of the placeholders."""

ENDS = re.compile(r"^(\||2?>.*|&&|;|done)$")
"""Words of the shell that end a command's arguments."""


def python_commands(page: Path) -> list[tuple[str, list[str]]]:
    """Return script or module, and arguments, of each call of Python on a page."""
    found = []
    for words in commands(page):
        names = [Path(word).name for word in words]
        if "python" not in names:
            continue
        script, *arguments = words[names.index("python") + 1 :]
        if script == "-m":
            script, *arguments = arguments
            script = script.replace(".", "/") + ".py"
        end = next((i for i, word in enumerate(arguments) if ENDS.match(word)), len(arguments))
        found.append((script, [filled(word) for word in arguments[:end]]))
    return found


def filled(word: str) -> str:
    for placeholder, value in VALUES.items():
        word = word.replace(placeholder, value)
    return word


def parser_of(script: str):
    return importlib.import_module(script.removesuffix(".py").replace("/", ".")).build_parser()


CALLS = [
    pytest.param(script, arguments, id=f"{page.name}-{script}-{i}")
    for page in pages()
    for i, (script, arguments) in enumerate(python_commands(page))
    if script != "pytest.py"
]


@pytest.mark.parametrize(("script", "arguments"), CALLS)
def test_every_command_of_the_pages_is_accepted_by_its_parser(script, arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", [script])
    source = (ROOT / script).read_text()
    if "def build_parser" not in source:
        for option in (word for word in arguments if word.startswith("--")):
            assert f'"{option}"' in source
        return
    if script == "sweep.py":  # it parses the options after -- by those of the training commands
        end = arguments.index("--")
        parser_of("learn_classifier.py").parse_args(["--dataset", "Digits", *arguments[end + 1 :]])
        arguments = arguments[:end]
    parser_of(script).parse_args(arguments)


def test_tests_that_the_pages_name_exist():
    words = {word for page in pages() for command in commands(page) for word in command}
    paths = {word for word in words if word.startswith("tests/")}
    assert len(paths) >= 2
    assert {path for path in paths if not (ROOT / path).exists()} == set()


def test_a_wrong_option_in_a_page_would_be_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("```shell\npython predict.py \\\n    --modle $DS x.jpg | sort\n```\n")
    [(script, arguments)] = python_commands(page)
    assert arguments == ["--modle", "CUB", "x.jpg"]
    with pytest.raises(SystemExit):
        parser_of(script).parse_args(arguments)


def test_every_command_is_in_the_readme():
    scripts = {path.name for path in ROOT.glob("*.py") if "def build_parser" in path.read_text()}
    assert len(scripts) >= 10
    assert {name for name in scripts if f"`{name}`" not in README.read_text()} == set()


def test_every_data_set_is_in_the_readme():
    text = README.read_text()
    assert [name for name in dataset_names() if f"`{name}`" not in text] == []


def test_every_network_is_in_the_page_about_options():
    text = (ROOT / "docs" / "options.md").read_text()
    assert [name for name in architecture_names() if f"`{name}`" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_accuracies_of_the_pages_are_those_that_study_report_writes(page):
    text = page.read_text()
    assert "<!-- study.py report " in text
    assert rendered(text) == text


@pytest.mark.parametrize("name", NAMES)
def test_stored_reports_are_those_of_the_stored_results(name):
    folder = STORED / name
    assert (folder / REPORT).read_text().splitlines() == report(load(name), folder)


def test_the_table_of_the_paper_in_the_readme_is_that_of_the_studies():
    rows = [line for line in README.read_text().splitlines() if line.startswith("| ")]
    for loss in ONE_HOT:
        cells = [f"{TABLE_2[dataset, loss]:.1f}" for dataset in list_datasets(loss)]
        shown = [[c.strip(" *") for c in row.strip("|").split("|")][1:] for row in rows]
        assert cells in shown, loss


def list_datasets(loss: str) -> list[str]:
    return [dataset for dataset, known in TABLE_2 if known == loss]


def test_the_published_commands_are_in_the_readme_as_published():
    published = blocks(PUBLISHED, "shell")
    assert len(published) == 4
    assert [block for block in published if block not in blocks(README, "shell")] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files_and_headings(page):
    for link in links(page):
        file, _, anchor = link.partition("#")
        target = (page.parent / file).resolve() if file else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


def test_functions_that_the_pages_link_are_defined_there():
    named = [(name, file) for page in pages() for name, file in named_code(page)]
    assert len(named) > 20
    assert [(n, f.relative_to(ROOT)) for n, f in named if n not in definitions(f)] == []


@pytest.mark.parametrize("page", pages(), ids=lambda page: str(page.relative_to(ROOT)))
def test_paths_of_the_project_in_running_text_exist(page):
    """A renaming would leave them behind."""
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_0-9]+\.(?:py|md|txt))(?:::\w+)?`", page.read_text())
    assert [n for n in named if n not in WRITTEN_BY_RECIPES and not (ROOT / n).exists()] == []


def test_every_page_of_docs_is_in_its_index():
    index = ROOT / "docs" / "README.md"
    listed = {(index.parent / link.partition("#")[0]).resolve() for link in links(index)}
    assert {*index.parent.glob("*.md")} - listed == {index}
    assert index.resolve() in {(ROOT / link).resolve() for link in links(README)}


def test_installation_says_what_each_requirement_is_for():
    page = (ROOT / "docs" / "installation.md").read_text()
    files = [ROOT / f"requirements{use}.txt" for use in ("", "-export", "-sweep")]
    lines = [line for file in files for line in file.read_text().splitlines()]
    names = {re.match(r"[\w-]+", line)[0] for line in lines if re.match(r"[a-zA-Z]", line)}
    assert {"keras", "ray", "onnx"} <= names
    assert {name for name in names if name not in page} == set()


def test_the_readme_is_short():
    assert README.stat().st_size <= 15_360


def test_targets_of_make_exist():
    makefile = (ROOT / "Makefile").read_text()
    targets = {words[1] for page in pages() for words in commands(page) if words[0] == "make"}
    assert {"demo", "test"} <= targets
    assert {target for target in targets if f"\n{target}:" not in makefile} == set()
