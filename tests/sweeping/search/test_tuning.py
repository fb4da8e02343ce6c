"""Searches with Ray Tune whose runs train nothing: trials, stopping, resuming."""

import importlib.util
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from sweeping.grid import LOSSES
from sweeping.search.space import first_candidates
from sweeping.search.trials import (
    FAILED,
    FINISHED,
    STOPPED,
    UNFINISHED,
    Plan,
    SearchTrial,
    read_trials,
    write_trial,
)
from sweeping.search.winner import winner
from tests.sweeping.search import fake_training

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("ray", "optuna"))),
    reason="Ray or Optuna are not installed (requirements-sweep.txt)",
)

EPOCHS = 9
STEPS = 1000  # per epoch: trials may be compared after the first one


@pytest.fixture(scope="module")
def searches(tmp_path_factory):
    """Two searches in one folder, the second with more trials, each of two folds."""
    folder = tmp_path_factory.mktemp("search")
    for name in ("learn_classifier.py", "learn_image_embeddings.py"):
        shutil.copy(fake_training.__file__, folder / name)
    options = ("--epochs", str(EPOCHS))
    folds = (folder / "fold-1", folder / "fold-2")
    plan = Plan(folder / "out", folds, options, EPOCHS, STEPS, (32, 64), 0, folder)
    before = dict(os.environ)
    try:
        return plan, *_search(plan)
    finally:
        os.environ.clear()
        os.environ.update(before)


def _search(plan):
    from sweeping.cluster import Resources, connected
    from sweeping.search import tuning

    os.environ.update(tuning.SETTINGS)
    found = []
    with connected(None, Resources(1, 0)) as cluster:
        for trials in (2, 4):
            tuning.run_search(plan, cluster, 1, trials, None, lambda: False)
            found.append(read_trials(plan))
    return found


def test_the_search_runs_the_requested_trials_and_begins_with_defaults(searches):
    _, first, second = searches
    assert (len(first), len(second)) == (2, 4)
    assert [t.candidate for t in first[:2]] == first_candidates((32, 64))


def test_a_resumed_search_keeps_its_trials_without_retraining(searches):
    plan, first, second = searches
    ended = {t.candidate: (t.status, t.accuracies) for t in first}
    assert {c: (t.status, t.accuracies) for t in second if (c := t.candidate) in ended} == ended
    for trial in second:
        # A failure is tried again.
        again = trial.status == FAILED and trial.candidate in ended
        for run in plan.runs(trial.candidate):
            log = (run / "log.txt").read_text()
            assert log.count("from epoch 1\n") + log.count("boom") == 1 + again


def test_the_first_trial_is_finished_and_the_second_stopped_where_it_is_behind(searches):
    """Stop at the first rung, after a ninth of the epochs, where the other objective is better."""
    _, (ahead, behind), _ = searches
    assert (ahead.status, len(ahead.accuracies)) == (FINISHED, EPOCHS)
    assert (behind.status, len(behind.accuracies)) == (STOPPED, 1)


def test_trials_end_as_they_should(searches):
    _, _, trials = searches
    best = winner(trials)
    for trial in trials:
        command = LOSSES[trial.candidate.objective].command
        rate, epochs = trial.candidate.learning_rate, len(trial.accuracies)
        reached = [fake_training.accuracy(command, rate, e) for e in range(1, epochs + 1)]
        assert list(trial.accuracies) == reached
        possible = {0: FAILED, 1: STOPPED, 3: STOPPED, EPOCHS: FINISHED}  # rungs at 1 and 3
        assert trial.status == possible[epochs]
        assert (trial.status == FAILED) == (rate > fake_training.HIGHEST)
        assert trial.status != FINISHED or trial.accuracies[-1] <= best.accuracies[-1]
        assert trial.status != STOPPED or trial.accuracies[-1] < max(
            t.accuracies[epochs - 1] for t in trials if len(t.accuracies) > epochs
        )


@pytest.mark.parametrize("epochs", [1, 2, 9, 10, 27, 30, 60, 100])
def test_trials_are_judged_after_a_ninth_and_a_third_only(epochs):
    rungs = rungs_of(epochs, STEPS)
    assert len(rungs) <= 2
    for rung, share in zip(rungs, (9, 3), strict=False):
        assert 0 <= rung - epochs / share < 9 / share


@pytest.mark.parametrize(
    ("epochs", "steps", "rungs"),
    [
        *[(60, 28, [8, 24]), (60, 29, [7, 21]), (30, 200, [4, 12])],
        *[(30, 24, [10]), (9, 36, [6]), (9, 20, []), (30, 9, []), (60, 4, []), (30, 10, [20])],
    ],
)
def test_trials_are_not_stopped_in_their_first_200_steps_or_near_their_end(epochs, steps, rungs):
    """Moving statistics with a decay of .99 contain 87 % of what was measured by then."""
    assert rungs_of(epochs, steps) == rungs


def rungs_of(epochs, steps):
    from sweeping.search.tuning import _scheduler

    (bracket,) = _scheduler(epochs, steps)._brackets
    return sorted(rung for rung, _ in bracket._rungs if rung < epochs)


@pytest.mark.parametrize("works", [False, True])
def test_a_search_ends_if_all_trials_fail_but_not_if_one_works(tmp_path, works):
    """A trial works as soon as it has finished an epoch."""
    from sweeping.search.tuning import _Limits, _Progress

    plan = Plan(tmp_path, (tmp_path / "data",), (), 60, 30, (32,), 0)
    limits = _Limits(None, lambda: False, works=False)
    if works:
        candidate = first_candidates((32,))[0]
        plan.folder(candidate).mkdir(parents=True)
        write_trial(plan, SearchTrial(candidate, UNFINISHED, 0.0, 1.0, ()))
        result = {"status": UNFINISHED, "done": False, "epoch": 1, "seconds": 1.0}
        trial = SimpleNamespace(config=candidate.config)
        _Progress(plan, limits).on_trial_result(1, [], trial, result)
    limits.failures = 3
    assert limits.stop_all() == (not works)


def test_a_failed_trial_reports_its_reason(tmp_path):
    from sweeping.search.tuning import _Limits, _Progress

    plan = Plan(tmp_path, (tmp_path / "data",), (), 60, 30, (32,), 0)
    candidate = first_candidates((32,))[0]
    (run,) = plan.runs(candidate)
    run.mkdir(parents=True)
    (run / "log.txt").write_text("$ python …\nlearn_classifier.py: error: no such file\n\n")
    told = _Progress(plan, _Limits(None, lambda: False, works=False))._outcome(
        SearchTrial(candidate, FAILED, 0.0, 1.0, ())
    )
    assert told == f"failed: learn_classifier.py: error: no such file (see {run / 'log.txt'})"


def test_no_process_is_left(searches):
    plan = searches[0]
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().decode(errors="replace"))
        except OSError:
            continue
    assert [line for line in lines if str(plan.out) in line] == []
