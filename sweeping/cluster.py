"""Run processes on the machines of a Ray cluster, as many at once as fit.

Ray only decides where and when: each job is a process of its own, with its results in files.
"""

import math
import os
import socket
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sweeping.processes import GRACE, run_job
from utils import UsageError, UserError, one_line

_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The default of versions since https://github.com/ray-project/ray/pull/62492; without it, those
    # before warn that it is going to change.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # The monitor kills and retries the job that uses most memory, again and again
    # (https://docs.ray.io/en/latest/ray-core/scheduling/ray-oom-prevention.html).
    "RAY_memory_monitor_refresh_ms": "0",
}
_OBJECT_STORE = 80 * 2**20  # bytes, just above Ray's minimum: nothing is kept in it
_RETRIES = 2  # of a job whose machine is lost
_CONNECT = 10  # seconds in which the head of a cluster has to answer
_POLL = 0.5  # seconds between checks for a request to stop
_FORWARDED = ("KERAS_", "TF_", "JAX_", "XLA_")  # prefixes of variables that jobs need


@dataclass(frozen=True)
class Job:
    """Processes to run one after the other, up to the first that fails.

    Attributes:
        name: name of the job.
        commands: script and arguments of each.
        folder: for ``log.txt`` and ``attempts.csv``, both continued if they exist.
    """

    name: str
    commands: tuple[tuple[str, ...], ...]
    folder: Path


@dataclass(frozen=True)
class Resources:
    """Resources of each job.

    Attributes:
        cpus: CPU cores, at least 1.
        gpus: an integer, or a fraction of one GPU; None: one if there are any.
    """

    cpus: int = 1
    gpus: float | None = None

    def environment(self, processes: int = 1) -> dict[str, str]:
        """Return the environment variables that limit a process to its resources.

        Args:
            processes: number of processes that share the resources of the job at the same time.
        """
        threads = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
        limits = dict.fromkeys(threads, str(self.cpus))
        if not self.gpus:
            return limits | {"CUDA_VISIBLE_DEVICES": "-1"}
        if self.gpus < 1 or processes > 1:  # take memory as needed instead of all
            limits["TF_FORCE_GPU_ALLOW_GROWTH"] = "true"
            limits["XLA_PYTHON_CLIENT_PREALLOCATE"] = "false"
        return limits


class Cluster:
    """Ray cluster to which this process is connected; made by ``connected``.

    Args:
        ray: the library.
        wanted: per job.

    Attributes:
        resources: per job, with the number of GPUs decided.
        at_once: jobs that fit at the same time.

    Raises:
        UsageError: no machine has what one job needs.
    """

    def __init__(self, ray, wanted: Resources):
        self._ray = ray
        machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
        gpus = wanted.gpus
        if gpus is None:
            gpus = int(any(machine.get("GPU") for machine in machines))
        self.resources = Resources(wanted.cpus, gpus)
        self.at_once = sum(self._fit(machine) for machine in machines)
        if not self.at_once:
            cpus = max((machine.get("CPU", 0) for machine in machines), default=0)
            most = max((machine.get("GPU", 0) for machine in machines), default=0)
            raise UsageError(
                f"--cpus_per_trial {wanted.cpus}, --gpus_per_trial {gpus:g}: no machine has that "
                f"much; the largest have {cpus:g} CPUs and {most:g} GPUs"
            )

    def _fit(self, machine: Mapping[str, float]) -> int:
        cpus, gpus = self.resources.cpus, self.resources.gpus
        by_cpu = math.floor(machine.get("CPU", 0) / cpus)
        return min(by_cpu, math.floor(machine.get("GPU", 0) / gpus)) if gpus else by_cpu

    def run(
        self, jobs: Sequence[Job], limit: int, stopping: Callable[[], bool]
    ) -> Iterator[tuple[Job, int | str]]:
        """Yield each job that has ended, with its exit status or the reason why it has none.

        Args:
            jobs: jobs in the order in which they are started.
            limit: largest number at once; never more than fit.
            stopping: polled; once it is true, running jobs are asked to end, and those that do not
                are not yielded.
        """
        environment = {k: v for k, v in os.environ.items() if k.startswith(_FORWARDED)}
        environment |= self.resources.environment()
        remote = self._ray.remote(run_job).options(
            num_cpus=self.resources.cpus,
            num_gpus=self.resources.gpus,
            max_retries=_RETRIES,
        )
        waiting, running = deque(jobs), {}
        while (waiting or running) and not stopping():
            while waiting and len(running) < limit:
                job = waiting.popleft()
                where = sys.executable, os.getcwd()
                running[remote.remote(job.commands, job.folder, environment, *where)] = job
            done, _ = self._ray.wait(list(running), timeout=_POLL)
            for reference in done:
                yield running.pop(reference), self._outcome(reference)
        yield from self._stop(running)

    def _outcome(self, reference) -> int | str:
        try:
            return self._ray.get(reference)
        except self._ray.exceptions.RayError as error:
            return f"its worker was lost: {str(error).strip().splitlines()[0]}"

    def _stop(self, running: Mapping[object, Job]) -> Iterator[tuple[Job, int | str]]:
        for reference in running:
            self._ray.cancel(reference)
        if running:
            limit = GRACE + 10
            done, _ = self._ray.wait(list(running), num_returns=len(running), timeout=limit)
            for reference in done:
                with suppress(self._ray.exceptions.RayError):
                    yield running[reference], self._ray.get(reference)


@contextmanager
def connected(address: str | None, wanted: Resources) -> Iterator[Cluster]:
    """Yield a cluster of this machine alone, or an existing one.

    Args:
        address: address of its head, ``host:port`` or ``auto``; None: this machine.
        wanted: per job.

    Raises:
        UsageError: Ray is not installed, there is no such cluster, or no machine of it has what
            one job needs.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise UsageError("Ray is not installed: pip install -r requirements-sweep.txt") from error
    try:
        _start(ray, address)
        yield Cluster(ray, wanted)
    finally:
        ray.shutdown()


def _start(ray, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    local = {
        "num_cpus": _allowed_cpus(),
        "include_dashboard": False,
        "object_store_memory": _OBJECT_STORE,
    }
    if address and address != "auto":
        _check_address(address)
    try:
        ray.init(address or "local", **quiet, **({} if address else local))
    except Exception as error:  # of a node that times out, Ray's is a plain Exception
        reason = one_line(error)
        if address:
            raise UsageError(f"--address {address}: no Ray cluster answers: {reason}") from error
        raise UserError(f"Ray does not start: {reason}") from error


def _check_address(address: str) -> None:
    """Refuse an unreachable address, which Ray retries for minutes; no issue is known."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT).close()
    except (OSError, ValueError, OverflowError) as error:
        raise UsageError(
            f"--address {address}: no Ray cluster answers; give HOST:PORT of its head, or auto"
        ) from error


def _allowed_cpus() -> int | None:
    """Return the number of cores if this process may use only some; else Ray finds out.

    Ray counts all cores of the machine (https://github.com/ray-project/ray/issues/34846).
    """
    if not hasattr(os, "sched_getaffinity"):
        return None
    allowed = len(os.sched_getaffinity(0))
    return allowed if allowed < (os.cpu_count() or 1) else None
