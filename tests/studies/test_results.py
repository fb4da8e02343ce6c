"""Choice of rates, tables, Welch's t-test and stored results, from hand-made trials."""

import json
import math
import sys
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

import study
from studies import results
from studies.choice import chosen_rate, outcome
from studies.reports import pages
from studies.reports.accuracies import accuracy, fitting, table
from studies.reports.comparison import comparison, welch
from studies.reports.figures import curves, draw, sizes
from studies.reports.report import report
from studies.results import Run, merged, public_command, read_runs, read_trials, runs_of, write_runs
from studies.running import repetitions
from studies.study import Part, Search, Study
from sweeping.grid import PAPER, PROTOCOLS, VALIDATION, Point, Trial
from sweeping.store import Store
from tests.commands.running import run
from utils import UserError

PART = Part(
    "by images",
    ("Digits-sub2", "Digits-sub5"),
    ("xent", "cosine"),
    (0.5, 0.1),
    "--epochs 3",
    seeds=(0, 1, 2),
    search=Search(PROTOCOLS, dataset="Digits-sub5", val_fraction=0.2),
    published_accuracies={("Digits-sub5", "cosine"): 60.0},
    compared=("xent", "cosine"),
)
STUDY = Study("digits", "Made by hand", reduced=(PART,), draws=("sizes", "curves"))
SMALL, LARGE = "Digits-sub2", "Digits-sub5"


def ended(dataset, loss, rate, seed, best=None, test=None, held_out=None, options="--epochs 3"):
    """A trial with some accuracies; one without any has diverged."""
    protocol = PAPER if held_out is None else VALIDATION
    name = Trial(Point(dataset, loss, rate, seed), protocol).name
    status = "diverged" if best is None and held_out is None else "finished"
    figures = {"best": best, "test": test, "last": test if held_out is None else held_out}
    return Run(
        "", name, status, 60, f"python learn.py {options}", "0123456789ab", {}, seed, 3, **figures
    )


RUNS = [
    ended(LARGE, "xent", 0.5, 0),  # diverged
    ended(LARGE, "xent", 0.1, 0, best=0.50, test=0.45),
    ended(LARGE, "xent", 0.1, 1, best=0.54, test=0.53),
    ended(LARGE, "xent", 0.1, 2, best=0.58, test=0.49),
    ended(LARGE, "cosine", 0.5, 0, best=0.70, test=0.60),
    ended(LARGE, "cosine", 0.5, 1, best=0.66, test=0.58),
    ended(LARGE, "cosine", 0.1, 0, best=0.62, test=0.62),
    ended(LARGE, "cosine", 0.1, 1, best=0.99, test=0.60),  # only seed 0 chooses
    ended(LARGE, "cosine", 0.5, 0, test=0.1, held_out=0.40),
    ended(LARGE, "cosine", 0.1, 0, test=0.1, held_out=0.50),
    ended(SMALL, "cosine", 0.5, 0, best=0.30, test=0.20),
]
BY_NAME = {run.name: run for run in RUNS}


def test_each_protocol_chooses_by_its_own_trials():
    assert chosen_rate(PART, (LARGE, "cosine"), PAPER, BY_NAME) == 0.5
    assert chosen_rate(PART, (LARGE, "cosine"), VALIDATION, BY_NAME) == 0.1
    assert chosen_rate(PART, (SMALL, "cosine"), PAPER, BY_NAME) == 0.5  # chosen at the other size
    assert chosen_rate(PART, (LARGE, "xent"), VALIDATION, BY_NAME) is None


def test_a_diverged_rate_is_reported_and_never_chosen():
    found = outcome(PART, (LARGE, "xent"), PAPER, BY_NAME)
    assert (found.rate, found.diverged, found.tried) == (0.1, (0.5,), "2/2")
    alone = {run.name: run for run in RUNS[:1]}
    assert outcome(PART, (LARGE, "xent"), PAPER, alone).rate is None
    row = next(line for line in table(PART, alone) if line.startswith(f"| {LARGE} | softmax"))
    assert "| diverged |" in row and "(0.5 diverged)" in row


@pytest.mark.parametrize("lost", [0, 1])
def test_one_diverged_seed_of_a_rate_is_reported(lost):
    part = replace(PART, search=Search(seeds=2), paper_rates={"cosine": (0.5, 0.1)})
    runs = {
        run.name: run
        for rate in (0.5, 0.1)
        for seed in (0, 1)
        for diverged in [rate == 0.1 and seed == lost]
        for run in [ended(LARGE, "xent", rate, seed, None if diverged else rate, 0.4)]
    }
    found = outcome(part, (LARGE, "xent"), PAPER, runs)
    assert (found.rate, found.diverged, found.tried) == (0.5, (0.1,), "2/2")
    runs.pop(Trial(Point(LARGE, "xent", 0.1, 1 - lost), PAPER).name)
    assert outcome(part, (LARGE, "xent"), PAPER, runs).tried == "1/2"
    runs = {run.name: run for run in [ended(LARGE, "cosine", 0.1, lost)]}
    found = outcome(part, (LARGE, "cosine"), PAPER, runs)
    assert (found.rate, found.diverged, accuracy(found)) == (0.5, (0.1,), "not run")


def test_protocols_report_runs_on_all_samples_in_columns_of_their_own():
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(PART, BY_NAME)]
    assert rows[0] == [
        *("data", "loss", "published", "best epoch", "difference", "rate", "rates tried", "runs"),
        *("held-out", "rate", "rates tried", "runs"),
    ]
    best, after = np.array([70, 66.0]), np.array([62, 60.0])  # the rates are 0.5 and 0.1
    (cosine,) = [row for row in rows if row[:2] == [LARGE, "cosine, one-hot"]]
    assert cosine[2:] == [
        *("60.0", f"{best.mean():.1f} ± {best.std(ddof=1):.1f}", "+8.0", "0.5", "2/2", "2"),
        *(f"{after.mean():.1f} ± {after.std(ddof=1):.1f}", "0.1", "2/2", "2"),
    ]
    (small,) = [row for row in rows if row[:2] == [SMALL, "cosine, one-hot"]]
    assert small[2:8] == ["–", "30.0", "–", "0.5", "2/2", "1"]
    (missing,) = [row for row in rows if row[:2] == [LARGE, "softmax + cross-entropy"]]
    assert missing[8:] == ["not run", "–", "0/2", "0"]


def test_a_difference_stands_beside_the_only_protocol_that_is_reported():
    fixed = replace(PART, rates=(0.1,), search=Search(), protocols=(VALIDATION,), seeds=(0, 1))
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table(fixed, BY_NAME)]
    assert rows[0] == ["data", "loss", "published", "held-out", "difference", "rate", "runs"]
    (cosine,) = [row for row in rows if row[:2] == [LARGE, "cosine, one-hot"]]
    assert cosine[2:] == ["60.0", "61.0 ± 1.4", "+1.0", "0.1", "2"]


def test_tables_without_any_figure_of_the_papers_scale_are_left_out(tmp_path):
    titles = [f"without figures {i}" for i in range(8)]
    parts = (
        PART,
        *(replace(PART, title=title, published_accuracies={}, folder=title) for title in titles),
    )
    write_runs(tmp_path, [replace(run, folder=titles[2]) for run in RUNS])
    lines = report(replace(STUDY, paper=parts, reduced=(), draws=()), tmp_path)
    headings = [line for line in lines if line.startswith("## ")]
    assert headings == [f"## Paper scale: digits, {t}" for t in (PART.title, titles[2])]
    listed = "; ".join(titles[:2] + titles[3:7])
    assert f"Not run at paper scale: {listed} and 1 more." in lines


def test_all_seeds_are_repeated_at_the_rates_of_both_protocols():
    found = repetitions(PART, BY_NAME)
    assert {t.point.loss for t in found} == {"xent", "cosine"}
    assert {t.point.loss for t in repetitions(PART, {r.name: r for r in RUNS[1:]})} == {"cosine"}
    assert repetitions(PART, {r.name: r for r in RUNS[1:]}, partial=True) == found
    cosine = {(t.point.learning_rate, t.point.seed) for t in found if t.point.loss == "cosine"}
    assert cosine == {(rate, seed) for rate in (0.5, 0.1) for seed in (0, 1, 2)}
    assert {t.point.learning_rate for t in found if t.point.loss == "xent"} == {0.1}
    assert {t.protocol for t in found} == {PAPER}
    assert [t.point.seed for t in found] == sorted(t.point.seed for t in found)


def test_p_of_welch_by_its_formula():
    first, second = np.array([0.50, 0.54, 0.58]), np.array([0.70, 0.66])
    a, b = first.var(ddof=1) / 3, second.var(ddof=1) / 2
    t = (first.mean() - second.mean()) / math.sqrt(a + b)
    freedom = (a + b) ** 2 / (a**2 / 2 + b**2 / 1)
    expected = 2 * stats.t.sf(abs(t), freedom)
    assert welch(first, second) == pytest.approx(expected, rel=1e-9)
    half = 100 * stats.t.ppf(0.975, freedom) * math.sqrt(a + b)
    row = f"| +14.0 | +{14 - half:.1f} to +{14 + half:.1f} | {expected:.2g} |"
    assert row in "\n".join(comparison(PART, BY_NAME))
    assert welch([0.5], [0.6, 0.7]) is None and welch([0.5, 0.5], [0.6, 0.6]) is None


def test_pictures_show_means_deviations_and_curves():
    (panel,) = sizes(PART, BY_NAME).axes
    labels = panel.get_legend_handles_labels()[1]
    assert labels == ["softmax + cross-entropy", "cosine, one-hot"]
    line = panel.containers[1][0]
    np.testing.assert_allclose(line.get_xdata(orig=False), [2, 5])
    np.testing.assert_allclose(line.get_ydata(orig=False), [30, 68])
    assert panel.get_title() == "Test accuracy in the best epoch, rate chosen on test samples"
    fixed = sizes(replace(PART, rates=(0.5,), compared=None), BY_NAME)
    assert fixed.axes[0].get_title() == "Test accuracy in the best epoch"
    styles = {(c[0].get_marker(), c[0].get_linestyle()) for c in panel.containers}
    assert len(styles) == 2
    (alone,) = sizes(replace(PART, losses=("cosine",)), BY_NAME).axes
    same = [axes.containers[-1][0].get_color() for axes in (panel, alone)]
    assert same[0] == same[1]  # whatever the other losses of the picture
    (bars,) = panel.containers[1][2]
    of_one_run, of_two = bars.get_segments()
    assert len(of_one_run) == 0 and np.ptp(of_two[:, 1]) == pytest.approx(4 * np.sqrt(2))
    one = Part("one", (LARGE,), ("xent", "cosine"), (0.5, 0.1), "")
    assert curves(one, BY_NAME) is None
    drawn = {**vars(RUNS[4]), "training_curve": (0.5, 0.9), "judged_curve": (None, 0.7)}
    figure = curves(one, {RUNS[4].name: Run(**drawn)})
    test, training = figure.axes[0].lines
    assert training.get_xydata().tolist() == [[1, 50], [2, 90]]
    assert test.get_xydata().tolist() == [[2, 70]]  # no epoch without a figure
    compared = replace(one, compared=("xent", "cosine+xent"))  # not the loss that was run
    assert curves(compared, {RUNS[4].name: Run(**drawn)}) is None


def test_accuracy_on_training_and_test_samples_side_by_side():
    one = replace(PART, datasets=(LARGE,))
    first = replace(RUNS[4], training_curve=(0.5, 0.9))
    second = replace(RUNS[5], training_curve=(0.6, 1.0))
    *_, row, end = fitting(one, runs_of([*RUNS[:4], first, second], PART))
    # Cross-entropy has no curves here.
    assert row == "| cosine, one-hot | 95.0 ± 7.1 | 59.0 ± 1.4 | 36.0 ± 8.5 | 2 |" and not end
    assert fitting(PART, BY_NAME) == []
    *_, row, _ = fitting(PART, runs_of([*RUNS[:4], first, second], PART))
    assert row == "| Digits-sub5 | cosine, one-hot | 95.0 ± 7.1 | 59.0 ± 1.4 | 36.0 ± 8.5 | 2 |"


def test_each_pair_that_is_compared_has_a_panel():
    one = replace(PART, datasets=(LARGE,), losses=(*PART.losses, "cosine+xent"))
    one = replace(one, compared=one.losses, rates=(0.1,))
    runs = [
        replace(ended(LARGE, loss, 0.1, 0, best=0.5), judged_curve=(0.5,), training_curve=(0.6,))
        for loss in one.losses
    ]
    figure = curves(one, {run.name: run for run in runs})
    labels = [{t.get_text() for t in axis.get_legend().get_texts()} for axis in figure.axes]
    assert [len(found) for found in labels] == [4, 4]
    assert "cosine, one-hot: test" in labels[0] and "cosine, one-hot: test" not in labels[1]
    assert len(curves(one, {run.name: run for run in runs[:2]}).axes) == 1


def test_a_report_shows_the_pictures_of_its_parts_only(tmp_path):
    for name in ("sizes-old.png", "losses.png"):
        (tmp_path / name).touch()
    draw(STUDY, RUNS, tmp_path)
    pictures = [line for line in report(STUDY, tmp_path) if line.startswith("![")]
    assert pictures == ["![sizes](sizes.png)"]
    assert (tmp_path / "sizes-old.png").exists()


def test_trials_with_other_options_are_of_another_part():
    other = replace(RUNS[1], command="python learn.py --epochs 30", best=0.9)
    assert list(runs_of([other, RUNS[2]], PART)) == [RUNS[2].name]
    assert runs_of([other], replace(PART, options="--epochs 30"))
    assert len(merged([RUNS[1]], [other])) == 2  # neither is lost


def test_trials_with_other_options_are_left_out_with_a_warning(tmp_path, caplog):
    for seed in range(2):
        write_trial(Store(tmp_path), Point(LARGE, "xent", 0.1, seed), PAPER, best=0.5, last=0.5)
    assert len(read_trials(tmp_path, STUDY)) == 2 and not caplog.messages
    other = replace(STUDY, reduced=(replace(PART, options="--epochs 9"),))
    assert read_trials(tmp_path, other) == []
    assert "2 of 2 trials have other options than those of digits" in caplog.text


def test_failed_trials_are_named(tmp_path, caplog):
    store = Store(tmp_path)
    for seed in range(2):
        write_trial(store, Point(LARGE, "xent", 0.1, seed), PAPER)
    failed = Trial(Point(LARGE, "xent", 0.1, 1), PAPER)
    (store.folder(failed) / "attempts.csv").write_text("started,seconds,status,host\n1,5,1,here\n")
    assert [run.seed for run in read_trials(tmp_path, STUDY)] == [0]
    assert f"{tmp_path}: left out because they failed: {failed.name}" in caplog.text


def test_options_after_those_of_the_part_are_those_of_another_training():
    more = replace(RUNS[1], command=f"{RUNS[1].command} --cutmix 1 --epochs 5", best=0.9)
    assert runs_of([more, RUNS[1]], PART) == {RUNS[1].name: RUNS[1]}
    known = replace(RUNS[1], command=f"{RUNS[1].command} --finetune w.h5 --gpus 4")
    assert runs_of([known], PART) == {known.name: known}


def test_options_of_single_trials_are_those_of_the_part():
    of_large, of_search = {LARGE: "--repeats 2"}, {VALIDATION: "--epochs 2"}
    part = replace(PART, extra=of_large | of_search)

    def counts(run, options):
        return bool(runs_of([replace(run, command=f"python learn.py {options}")], part))

    assert counts(RUNS[1], "--repeats 2 --epochs 3") and counts(RUNS[1], "--epochs=3 --repeats=2")
    assert not counts(RUNS[1], "--epochs 3") and not counts(RUNS[1], "--epochs 3 --repeats 4")
    small = ended(SMALL, "xent", 0.1, 0, best=0.5)
    assert counts(small, "--epochs 3") and not counts(small, "--epochs 3 --repeats 2")
    searching = ended(LARGE, "xent", 0.1, 0, held_out=0.5)
    assert counts(searching, "--epochs 3 --repeats 2 --epochs 2")
    assert not counts(searching, "--epochs 3 --repeats 2")


def test_a_repetition_replaces_a_trial_whatever_the_order_of_its_options():
    first = replace(RUNS[1], command="python learn.py --epochs 3 --seed 0", best=0.4)
    second = replace(first, command="python learn.py --seed 0 --epochs 3", best=0.5)
    assert merged([first], [second]) == [second]


def in_half(run):
    return replace(run, command=f"{run.command} --mixed_precision bfloat16")


def test_repetitions_are_in_one_precision():
    seeds = RUNS[1:4]
    half = [in_half(run) for run in seeds]
    names = [run.name for run in seeds]
    for stored in (seeds + half, half + seeds, [*seeds, *half[:2]]):  # as many in both: float32
        assert runs_of(stored, PART) == dict(zip(names, seeds, strict=True))
    assert runs_of([*seeds[:2], *half], PART) == dict(zip(names, half, strict=True))
    others = [in_half(run) for run in RUNS[4:6]]  # of another loss, at another rate
    for stored in ([*seeds, *others], [*half, *seeds, *others]):
        assert list(runs_of(stored, PART).values()) == [*seeds, *others]


def test_candidates_are_in_one_precision():
    first, second = RUNS[8:10]
    finished = RUNS[6]  # on all samples, at the rate of the second
    assert list(runs_of([in_half(first), second, finished], PART)) == [second.name, finished.name]
    both = [in_half(first), in_half(second)]
    assert list(runs_of([*both, second, finished], PART).values()) == [*both, finished]


def test_rows_name_precisions_other_than_float32():
    runs = [*map(in_half, RUNS[4:6]), *RUNS[1:4]]
    titles = [line.split("|")[2].strip() for line in table(PART, runs_of(runs, PART))[2:]]
    xent, cosine = "softmax + cross-entropy", "cosine, one-hot"
    assert titles == [xent, cosine, xent, f"{cosine} (bfloat16)"]
    held_out = [*runs, *RUNS[6:10]]  # chooses a rate that was trained in float32
    titles = [line.split("|")[2].strip() for line in table(PART, runs_of(held_out, PART))[2:]]
    assert titles[-1] == f"{cosine} (best epoch: bfloat16)"
    by_part = replace(PART, options="--epochs 3 --mixed_precision bfloat16")
    assert "(bfloat16)" not in "".join(table(by_part, runs_of(runs, by_part)))


def test_results_are_kept_and_only_replaced_by_the_same_trial(tmp_path):
    write_runs(tmp_path, RUNS[:3])
    assert {run.name: run.best for run in read_runs(tmp_path)} == {
        run.name: run.best for run in RUNS[:3]
    }
    new = Run(**{**vars(RUNS[1]), "best": 0.9})
    both = merged(read_runs(tmp_path), [new])
    assert len(both) == 3 and {run.best for run in both} == {None, 0.9, 0.54}
    for damage in ("[{", '{"a": 1}', "[1]", '[{"name": 1}]', "[" * 100_000):
        (tmp_path / "results.json").write_text(damage)
        with pytest.raises(UserError, match=r"results\.json: it is damaged"):
            read_runs(tmp_path)


def test_commands_are_stored_without_machine_specific_options():
    command = (
        "python learn_classifier.py --dataset CUB --data_root '/home/me/my birds' --seed 0 "
        "--finetune \"/home/o'me/w.h5\" --embedding 'my birds.json' "
        "--history /home/me/h.csv --snapshot /home/me/s.h5 --overwrite"
    )
    kept = (
        "python learn_classifier.py --dataset CUB --data_root $DATA --seed 0 --finetune $WEIGHTS "
        "--embedding 'my birds.json'"
    )
    assert public_command(command) == kept


HISTORY = {"acc": [0.25, 0.5, 0.75], "val_acc": [0.2, 0.6, 0.4]}


def write_trial(store, point, protocol=PAPER, diverged=False, best=0.6, last=0.4):
    """A trial of three epochs in a store, as a training leaves it."""
    trial = Trial(point, protocol)
    folder = store.prepare(
        trial, "learn_classifier.py --epochs 3 --history h".split(), ("--epochs", "3")
    )
    rows = [f"{i + 1},{a},{v}" for i, (a, v) in enumerate(zip(*HISTORY.values(), strict=True))]
    (folder / "history.csv").write_text("\n".join(["epoch,acc,val_acc", *rows]) + "\n")
    record = {
        "commit": "c0ffee",
        "versions": {"keras": "3.15.1"},
        "epochs_judged_by": "val_acc",
        "best_epoch": {"epoch": 2, "val_acc": best},
        "last_epoch": {"epoch": 3, "val_acc": last},
        "final": {"acc": last},
        "diverged": diverged,
    }
    (folder / "history.csv.run.json").write_text(json.dumps(record))
    (folder / "attempts.csv").write_text("started,seconds,status,host\n1,7200,0,here\n")


@pytest.fixture
def out(tmp_path):
    store = Store(tmp_path / "out")
    with store.opened():
        store.agree({"--epochs": "3"})
    write_trial(store, Point(LARGE, "xent", 0.5, 0))
    write_trial(store, Point(LARGE, "xent", 0.1, 0), diverged=True)
    write_trial(store, Point("Digits", "xent", 0.1, 0))  # not of the study
    return store.path


def test_trials_that_were_run_before_are_read_with_their_curves(out):
    diverged, finished = sorted(read_trials(out, STUDY), key=lambda run: run.name)
    assert (diverged.status, diverged.best, diverged.judged_curve) == ("diverged", None, ())
    assert (finished.best, finished.best_epoch, finished.last, finished.test) == (0.6, 2, 0.4, 0.4)
    assert finished.training_curve == (0.25, 0.5, 0.75)
    assert finished.judged_curve == (0.2, 0.6, 0.4)
    assert (finished.seconds, finished.commit, finished.epochs) == (7200, "c0ffee", 3)
    assert finished.command == "python learn_classifier.py --epochs 3"


@pytest.fixture
def made_by_hand(monkeypatch, tmp_path):
    monkeypatch.setattr(study, "load", lambda name: STUDY)
    monkeypatch.setattr(results, "STORED", tmp_path / "stored")
    monkeypatch.setattr(pages, "PAGES", ())


def test_a_report_of_a_folder_needs_no_ray_and_leaves_the_project_alone(
    out, made_by_hand, monkeypatch
):
    monkeypatch.setitem(sys.modules, "ray", None)
    reported = run(study, f"report digits --out {out}")
    assert reported.status == 0, reported.err
    row = "| Digits-sub5 | softmax + cross-entropy | – | 60.0 | – | 0.5 | 2/2 (0.1 diverged) | 1 |"
    assert row in reported.out and row in (out / "report.md").read_text()
    assert "Runs: 2, 4.0 hours. Code: c0ffee; keras 3.15.1." in reported.out
    assert len(read_runs(out)) == 2
    assert not results.STORED.exists()


def test_results_become_those_of_the_project_and_are_reported_from_there(out, made_by_hand):
    stored = results.STORED / "digits"
    assert run(study, f"report digits --out {out} --store").status == 0
    first = (stored / "report.md").read_text()
    reported = run(study, "report digits")
    assert reported.status == 0 and reported.out.rstrip("\n") == first.rstrip("\n")
    assert (stored / "report.md").read_text() == first


def test_another_study_s_folder_is_refused(out, made_by_hand):
    settings = json.loads((out / "sweep.json").read_text())
    (out / "sweep.json").write_text(json.dumps({**settings, "study": "cub50"}))
    for action in ("report", "run"):
        refused = run(study, f"{action} digits --out {out}")
        assert refused.status == 2
        assert "has results of the study cub50, not of digits" in refused.err.splitlines()[-1]
    (out / "sweep.json").write_text("{")
    refused = run(study, f"run digits --out {out}")
    assert refused.status == 1 and "sweep.json: it is damaged" in refused.err


def test_pages_distinguish_parts_with_the_same_data_and_losses():
    text = pages.rendered("<!-- study.py report dsc-dam -->\n<!-- end -->\n")
    assert "\nu = 24:\n" in text and "\nu = 1000:\n" in text


def test_pages_agree_with_the_results(monkeypatch, out):
    monkeypatch.setattr(pages, "load", lambda name: STUDY)
    monkeypatch.setattr(pages, "STORED", out.parent)
    (out.parent / "digits").mkdir()
    write_runs(out.parent / "digits", read_trials(out, STUDY))
    page = "a\n<!-- study.py report digits -->\nold 99.9\n<!-- end -->\nb\n"
    once = pages.rendered(page)
    assert "| 60.0 |" in once and "99.9" not in once and once.startswith("a\n<!-- study.py")
    assert once.endswith("<!-- end -->\nb\n") and pages.rendered(once) == once
