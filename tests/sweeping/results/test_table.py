"""Rows and selections, computed once more with NumPy."""

import numpy as np
import pytest

from sweeping.grid import Point, Trial
from sweeping.results.plot import write_plot
from sweeping.results.report import describe
from sweeping.results.table import SUMMARY_HEADER, TRIAL_HEADER, select, shown, summary, trial_row
from sweeping.store import Result

RATES, SEEDS = (2.5, 0.5, 0.1, 0.01), (0, 1, 2)


def finished(best, last, final, epoch=7, name="val_acc", **options):
    record = {
        "epochs_judged_by": name,
        "best_epoch": {"epoch": epoch, name: best, "loss": 1.0},
        "last_epoch": {"epoch": 12, name: last},
        "final": {name.removeprefix("val_"): final, "average_accuracy": 0.5},
        "options": options,
    }
    return Result("finished", 34.56, "--epochs 12", record)


def row(point, paper=None, validation=None):
    results = {"paper": paper, "validation": validation}
    return trial_row(point, {name: result for name, result in results.items() if result})


@pytest.fixture(scope="module")
def accuracies():
    """Best test, last validation, final test: (3, rates, seeds)."""
    return np.random.default_rng(3).uniform(0.2, 0.9, (3, len(RATES), len(SEEDS)))


@pytest.fixture(scope="module")
def rows(accuracies):
    return [
        row(
            Point("CUB", "cosine", rate, seed),
            finished(accuracies[0, i, j], 0.1, 0.1),
            finished(0.95, accuracies[1, i, j], accuracies[2, i, j], val_fraction=0.1),
        )
        for j, seed in enumerate(SEEDS)
        for i, rate in enumerate(RATES)
    ]


def test_a_row_has_both_runs_in_columns_of_their_own():
    found = row(
        Point("CUB", "cosine+xent", 0.5, 3),
        finished(0.75, 0.5, 0.51, epoch=7, name="val_prob_acc"),
        finished(0.625, 0.6, 0.55, epoch=9, name="val_prob_acc", val_fraction=0.2),
    )
    assert tuple(found) == TRIAL_HEADER
    assert list(found.values()) == [
        *("CUB", "cosine+xent", 0.5, 3, 0, "", "--epochs 12"),
        *("finished", 12, 34.6, 0.75, 7, 0.5),
        *(0.2, "finished", 12, 34.6, 0.6, 0.625, 9, 0.55),
    ]


def test_a_data_set_with_validation_images_of_its_own_has_no_best_test_accuracy():
    result = finished(0.75, 0.5, 0.51)
    result.record["dataset"] = {"validation_samples": 7}
    found = row(Point("Folder", "cosine", 0.5, 3), result)
    assert found["paper_status"] is None and found["paper_best_test_accuracy"] is None
    expected = (None, "finished", 0.5, 0.51)
    names = ("val_fraction", "val_status", "val_last_accuracy", "val_test_accuracy")
    assert tuple(found[name] for name in names) == expected
    line = describe(Trial(Point("Folder", "cosine", 0.5, 3), "paper"), result)
    assert "50.0 % on held-out images, 51.0 % on test images" in line


def test_columns_of_missing_or_unfinished_runs_are_empty():
    found = row(Point("CUB", "xent", 0.5, 3), finished(0.75, 0.5, 0.51))
    assert [found[name] for name in TRIAL_HEADER if name.startswith("val_")] == [None] * 8
    found = row(Point("CUB", "xent", 0.5, 3), None, Result("failed", 3.0))
    assert found["val_status"] == "failed" and found["val_seconds"] == 3.0
    filled = {name for name, value in found.items() if value is not None}
    assert filled == {*TRIAL_HEADER[:7], "val_status", "val_seconds"}


def test_the_best_rate_is_that_of_the_highest_mean_over_seeds(rows, accuracies):
    (line,) = summary(rows)
    assert tuple(line) == SUMMARY_HEADER
    best, last, final = accuracies
    paper, honest = best.mean(axis=1).argmax(), last.mean(axis=1).argmax()
    assert paper != honest  # or else this shows nothing
    expected = {
        "seeds": 3,
        "paper_learning_rate": RATES[paper],
        "paper_best_test_mean": best[paper].mean(),
        "paper_best_test_std": best[paper].std(ddof=1),
        "val_learning_rate": RATES[honest],
        "val_last_mean": last[honest].mean(),
        "val_test_mean": final[honest].mean(),
        "val_test_std": final[honest].std(ddof=1),
    }
    for name, value in expected.items():
        assert line[name] == pytest.approx(value, rel=1e-12), name
    assert line["paper_rates"] == line["val_rates"] == "4/4"


def test_test_accuracy_has_no_part_in_the_selection_by_validation(rows):
    (line,) = summary(rows)
    swapped = [{**r, "val_test_accuracy": 1 - r["val_test_accuracy"]} for r in rows]
    swapped = [{**r, "paper_best_test_accuracy": 1 - r["val_test_accuracy"]} for r in swapped]
    (other,) = summary(swapped)
    assert other["val_learning_rate"] == line["val_learning_rate"]
    assert other["val_test_mean"] == pytest.approx(1 - line["val_test_mean"])


def test_rates_without_all_seeds_do_not_compete(rows, accuracies):
    best = accuracies[0].mean(axis=1).argmax()
    lacking = [
        {**r, "paper_best_test_accuracy": None}
        if (r["learning_rate"], r["seed"]) == (RATES[best], 1)
        else r
        for r in rows
    ]
    (line,) = summary(lacking)
    others = [i for i in range(len(RATES)) if i != best]
    expected = max(others, key=lambda i: accuracies[0, i].mean())
    assert line["paper_learning_rate"] == RATES[expected] and line["paper_rates"] == "3/4"
    nothing = select([{**r, "x": None} for r in rows], "x", "x")
    assert (nothing.learning_rate, nothing.mean, nothing.complete) == (None, None, "0/4")


def test_ties_and_single_seeds():
    same = [{"learning_rate": rate, "x": 0.5} for rate in (0.01, 0.5, 0.1)]
    chosen = select(same, "x", "x")
    assert chosen.learning_rate == 0.5 and chosen.mean == 0.5 and chosen.std is None


def test_data_sets_and_losses_are_kept_apart():
    rows = [
        row(Point(dataset, loss, rate, 0), finished(accuracy, 0.1, 0.1))
        for dataset, loss, rate, accuracy in [
            ("A", "xent", 0.1, 0.3),
            ("A", "xent", 0.5, 0.2),
            ("A", "cosine", 0.1, 0.4),
            ("B", "xent", 0.5, 0.9),
        ]
    ]
    found = [(r["dataset"], r["loss"], r["paper_learning_rate"]) for r in summary(rows)]
    assert found == [("A", "xent", 0.1), ("A", "cosine", 0.1), ("B", "xent", 0.5)]


def test_the_printed_table_has_percent_and_only_columns_with_content(rows, accuracies):
    header, (cells,) = shown(summary(rows))
    assert header == [
        *("data set", "loss", "seeds", "best rate", "best test %", "rates run"),
        *("validated rate", "validation %", "test %", "rates run"),
    ]
    best = accuracies[0, accuracies[0].mean(axis=1).argmax()] * 100
    assert cells[4] == f"{best.mean():.1f} ± {best.std(ddof=1):.1f}"
    only = row(Point("CUB", "cosine", 0.5, 0), finished(0.75, 0.5, 0.5))
    header, (cells,) = shown(summary([only]))
    assert dict(zip(header, cells, strict=True)) == {
        "data set": "CUB",
        "loss": "cosine",
        "seeds": "1",
        "best rate": "0.5",
        "best test %": "75.0",
        "rates run": "1/1",
    }


def test_the_picture_shows_means_and_deviations(rows, accuracies, tmp_path, monkeypatch):
    kept = {}
    monkeypatch.setattr(
        "sweeping.results.plot.save_plot", lambda figure, *_, **__: kept.update(f=figure)
    )
    write_plot(tmp_path / "p.png", rows)
    panels = kept["f"].axes
    assert len(panels) == 2
    for panel, values in zip(panels, accuracies[:2], strict=True):
        (container,) = panel.containers
        line, _, (bars,) = container
        np.testing.assert_allclose(line.get_xdata(orig=False), RATES[::-1])
        np.testing.assert_allclose(line.get_ydata(orig=False), 100 * values.mean(axis=1)[::-1])
        lengths = [abs(end[1] - start[1]) / 2 for start, end in bars.get_segments()]
        np.testing.assert_allclose(lengths, 100 * values.std(axis=1, ddof=1)[::-1])
    monkeypatch.undo()
    write_plot(tmp_path / "p.png", rows)
    assert (tmp_path / "p.png").read_bytes().startswith(b"\x89PNG")
