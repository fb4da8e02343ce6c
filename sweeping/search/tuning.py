"""Search with Ray Tune: Optuna samples candidates, ASHA stops those that fall behind.

All results of a search are in plain files, one folder per candidate. A resumed search replays its
earlier candidates in order, reading their epochs from these files, so that Optuna and ASHA regain
their state.
"""

import logging
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace

import optuna
from ray import tune
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from sweeping.cluster import Cluster
from sweeping.search.space import Candidate, distributions, first_candidates
from sweeping.search.training_process import TrainingProcess
from sweeping.search.trials import (
    FAILED,
    FINISHED,
    STOPPED,
    UNFINISHED,
    Plan,
    SearchTrial,
    read_trial,
    read_trials,
    remove_snapshots,
    write_trial,
)
from sweeping.store import last_line
from utils import UserError, generator, one_line

logger = logging.getLogger(__name__)
results = logging.getLogger("results")

SETTINGS = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints tables whatever its verbosity
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    # No need to wait longer for the end of an epoch: a training ends with its worker, and saves.
    "TUNE_FORCE_TRIAL_CLEANUP_S": "10",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # ``stop_requests`` has its own
}
"""Environment variables for Ray Tune."""

_REDUCTION = 3  # ASHA's reduction factor: one in three candidates is promoted at each rung
_SETTLED = 200  # steps after which moving statistics (decay .99) follow a network fairly well
_RANDOM_STARTS = 5  # candidates before Optuna begins to learn from the others
_MOST_FAILURES = 3  # before any candidate works


class CandidateTrainable(tune.Trainable):
    """Trainable for Ray Tune: the runs of a candidate; a step is one epoch of all folds."""

    def setup(self, config: dict, plan: Plan, environment: dict) -> None:
        self._plan, self._epoch, self._accuracy = plan, 0, 0.0
        candidate = Candidate.of(config)
        folder, self._began = plan.folder(candidate), time.time()
        folder.mkdir(parents=True, exist_ok=True)
        known = read_trial(plan, folder)
        self._trial = known or SearchTrial(candidate, UNFINISHED, self._began, 0.0, ())
        write_trial(plan, self._trial)
        self._processes = []
        for command, run in zip(plan.command_lines(candidate), plan.runs(candidate), strict=True):
            run.mkdir(exist_ok=True)
            self._processes.append(TrainingProcess(command, run, environment))

    def reset_config(self, new_config: dict) -> bool:
        self.cleanup()
        self.setup(new_config)  # with the parameters of ``with_parameters``
        return True

    def step(self) -> dict:
        if self._trial.status == STOPPED and self._epoch >= len(self._trial.accuracies):
            return self._result(STOPPED)
        accuracies = [process.accuracy(self._epoch + 1) for process in self._processes]
        if None in accuracies:
            return self._result(FAILED)
        self._epoch += 1
        self._accuracy = statistics.fmean(accuracies)
        if self._epoch < self._plan.epochs:
            return self._result(UNFINISHED)
        succeeded = [process.wait() for process in self._processes]
        return self._result(FINISHED if all(succeeded) else FAILED)

    def cleanup(self) -> None:
        for process in self._processes:
            process.stop()

    def _result(self, status: str) -> dict:
        return {
            "accuracy": 0.0 if status == FAILED else self._accuracy,
            "epoch": self._epoch,
            "status": status,
            "seconds": self._trial.seconds + time.time() - self._began,
            "done": status != UNFINISHED,
        }


class _Limits(tune.Stopper):
    """Ends the search after some time, on request, or if all trials fail.

    Attributes:
        failures: number of failed trials.
        works: whether any trial, of this search or before, has finished an epoch.
    """

    def __init__(self, deadline: float | None, stopping: Callable[[], bool], works: bool):
        self._deadline, self._stopping = deadline, stopping
        self.failures, self.works = 0, works

    def __call__(self, trial_id: str, result: dict) -> bool:
        return False

    def stop_all(self) -> bool:
        late = self._deadline is not None and time.monotonic() > self._deadline
        hopeless = self.failures >= _MOST_FAILURES and not self.works
        return late or hopeless or self._stopping()


class _Progress(tune.Callback):
    """Write and log the state of each trial."""

    def __init__(self, plan: Plan, limits: _Limits):
        self._plan, self._limits = plan, limits
        self._before = {trial.candidate: trial for trial in read_trials(plan)}
        self._first: dict[Candidate, float] = {}  # seconds to the end of the first epoch
        self._estimated, self._done = False, 0

    def on_trial_result(self, iteration, trials, trial, result, **info) -> None:
        candidate = Candidate.of(trial.config)
        self._limits.works |= result["status"] != FAILED
        known = self._before.get(candidate)
        if result["done"] or (known and result["epoch"] <= len(known.accuracies)):
            return
        self._write(candidate, UNFINISHED, result)
        if result["epoch"] == 1:
            self._first[candidate] = result["seconds"]
        elif candidate in self._first and not self._estimated:
            self._estimated = True
            self._estimate(self._first[candidate], result["seconds"])

    def _estimate(self, first: float, second: float) -> None:
        """Log how long a training takes, given the times of the ends of its first two epochs."""
        each = second - first
        whole = (first + each * (self._plan.epochs - 1)) / 60
        logger.info("A whole training takes about %.1f min, %.1f s an epoch", whole, each)

    def on_trial_complete(self, iteration, trials, trial, **info) -> None:
        result, candidate = trial.last_result, Candidate.of(trial.config)
        status = result.get("status", UNFINISHED)
        if status == UNFINISHED and self._limits.stop_all():
            return  # it can be resumed later
        status = STOPPED if status == UNFINISHED else status
        self._done += 1
        self._limits.failures += status == FAILED
        known = self._before.get(candidate)
        if known and known.status == status:
            return
        ended = self._write(candidate, status, result)
        results.info("[%d] %s: %s", self._done, candidate.title, self._outcome(ended))

    def _write(self, candidate: Candidate, status: str, result: dict) -> SearchTrial:
        found = read_trial(self._plan, self._plan.folder(candidate))
        accuracies = found.accuracies[: result["epoch"]]
        trial = replace(found, status=status, seconds=result["seconds"], accuracies=accuracies)
        write_trial(self._plan, trial)
        return trial

    def _outcome(self, trial: SearchTrial) -> str:
        if trial.status == FAILED:
            logs = [run / "log.txt" for run in self._plan.runs(trial.candidate)]
            reason = next(filter(None, map(last_line, logs)), "no message")
            return f"failed: {reason} (see {' '.join(map(str, logs))})"
        return (
            f"{100 * trial.accuracies[-1]:.1f} % of the held-out images, {trial.status} after "
            f"{len(trial.accuracies)} epochs ({trial.seconds:.0f} s)"
        )


def run_search(
    plan: Plan,
    cluster: Cluster,
    at_once: int,
    trials: int | None,
    seconds: float | None,
    stopping: Callable[[], bool],
) -> None:
    """Search until the budget is spent or a signal asks to stop.

    Args:
        plan: plan of the search; candidates in its folder are replayed.
        cluster: where to run.
        at_once: maximum number of concurrent trials.
        trials: total number of trials; None: no limit.
        seconds: remaining time; None: no limit.
        stopping: polled for a request to stop.

    Raises:
        UserError: Ray Tune fails.
    """
    deadline = None if seconds is None else time.monotonic() + seconds
    works = any(trial.accuracies for trial in read_trials(plan))
    limits = _Limits(deadline, stopping, works)
    with tempfile.TemporaryDirectory() as storage:
        running = tune.RunConfig(
            storage_path=storage,
            stop=limits,
            verbose=0,
            callbacks=[_Progress(plan, limits)],
            # Trainings have snapshots of their own.
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
        )
        try:
            trainable = _trainable(plan, cluster)
            tune.Tuner(
                trainable, tune_config=_tuning(plan, at_once, trials), run_config=running
            ).fit()
        except (RuntimeError, ValueError, OSError, tune.TuneError) as error:
            raise UserError(f"the search failed: {one_line(error)}") from error
    remove_snapshots(plan)


def _tuning(plan: Plan, at_once: int, trials: int | None) -> tune.TuneConfig:
    return tune.TuneConfig(
        metric="accuracy",
        mode="max",
        search_alg=_sampler(plan),
        scheduler=_scheduler(plan.epochs, plan.steps),
        num_samples=-1 if trials is None else trials,
        max_concurrent_trials=at_once,
        reuse_actors=True,
    )


def _trainable(plan: Plan, cluster: Cluster) -> type[tune.Trainable]:
    """Return ``CandidateTrainable`` with its parameters and resource requirements."""
    environment = cluster.resources.environment(len(plan.parts))
    trainable = tune.with_parameters(CandidateTrainable, plan=plan, environment=environment)
    need = {"CPU": cluster.resources.cpus, "GPU": cluster.resources.gpus}
    return tune.with_resources(trainable, need)


def _sampler(plan: Plan) -> OptunaSearch:
    """Return Optuna's sampler, which begins with the earlier and the first candidates."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    before = [trial.candidate for trial in read_trials(plan)]
    first = dict.fromkeys([*before, *first_candidates(plan.sizes)])
    # With the same seed, a resumed search would sample the same candidates again.
    seed = int(generator("search", plan.seed, len(before)).integers(2**32))
    return OptunaSearch(
        distributions(plan.sizes),
        metric="accuracy",
        mode="max",
        points_to_evaluate=[candidate.config for candidate in first],
        sampler=optuna.samplers.TPESampler(n_startup_trials=_RANDOM_STARTS, seed=seed),
    )


def _scheduler(epochs: int, steps: int) -> ASHAScheduler:
    """Return the scheduler with rungs at a ninth and a third of the epochs, or later.

    Before batch normalization's moving statistics have settled, accuracies say nothing about a
    candidate. Nor is there a rung in the last third, where stopping a trial would save little.

    Args:
        epochs: number of epochs without early stopping.
        steps: number of steps per epoch.
    """
    first = max(-(-epochs // _REDUCTION**2), -(-_SETTLED // steps))
    if _REDUCTION * first > epochs * 2 / 3:
        first = max(first, -(-epochs // _REDUCTION))  # the only one
    if first > epochs * 2 / 3:
        first = epochs  # none
    return ASHAScheduler(
        time_attr="epoch",
        max_t=epochs,
        grace_period=first,
        reduction_factor=_REDUCTION,
    )
