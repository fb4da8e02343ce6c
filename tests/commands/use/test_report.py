"""``report.py`` on runs of the training commands."""

import json
import re

import pytest

import learn_classifier
import report
from tests.commands.running import TINY, record, run, succeed


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    files = ("--model_dump", folder / "model.keras", "--history", folder / "history.csv")
    succeed(learn_classifier, f"{TINY} --epochs 2", *files)
    return folder


def test_the_page_shows_what_the_run_reached_with_its_test_images(folder):
    outcome = succeed(report, "--mistakes 5 --title Digits", folder, "--out", folder / "page.html")
    assert outcome.out == f"{folder / 'page.html'}\n"
    page = (folder / "page.html").read_text()
    facts = record(folder / "history.csv")
    accuracy, images = facts["final"]["acc"], facts["dataset"]["test_samples"]
    assert f"<b>{100 * accuracy:.1f} %</b>of {images} test images" in page
    assert page.count("<figure>") == 5 and "<title>Digits</title>" in page
    cell = '<td class="number">'
    rows = re.findall(rf"{cell}(\d+)</td>{cell}(\d+)</td>{cell}[\d.]+ %", page)
    correct = [int(row[1]) for row in rows]
    assert len(rows) == 10 and sum(int(row[0]) for row in rows) == images
    assert sum(correct) == round(accuracy * images)
    assert facts["options"]["command_line"].split(" --")[0] in page
    assert (
        "--title Digits"
        in json.loads((folder / "page.html.run.json").read_text())["options"]["command_line"]
    )


def test_a_run_without_its_network_is_shown_without_pictures(folder):
    (folder / "model.keras").rename(folder / "elsewhere.keras")
    try:
        outcome = succeed(report, "", folder / "history.csv", "--out", folder / "less.html")
    finally:
        (folder / "elsewhere.keras").rename(folder / "model.keras")
    assert "the report shows no test images of it" in outcome.err
    page = (folder / "less.html").read_text()
    assert "<figure>" not in page and "test images are classified correctly" in page


def test_networks_of_other_runs_are_not_used(folder, tmp_path):
    facts = record(folder / "history.csv")
    (tmp_path / "history.csv").write_bytes((folder / "history.csv").read_bytes())
    (tmp_path / "history.csv.run.json").write_text(json.dumps(facts | {"run": "another"}))
    outcome = succeed(report, "", tmp_path, "--out", tmp_path / "page.html")
    assert "model.keras has been replaced by another run" in outcome.err
    assert "<figure>" not in (tmp_path / "page.html").read_text()


def test_existing_pages_and_unfinished_runs_are_refused(folder, tmp_path):
    (tmp_path / "page.html").write_text("mine")
    outcome = run(report, "", folder, "--out", tmp_path / "page.html")
    assert outcome.status == 2 and "give --overwrite to replace it" in outcome.err
    assert (tmp_path / "page.html").read_text() == "mine"
    outcome = run(report, "", tmp_path, "--out", tmp_path / "new.html")
    assert outcome.status == 1 and "history.csv does not exist" in outcome.err
    assert not (tmp_path / "new.html").exists()
