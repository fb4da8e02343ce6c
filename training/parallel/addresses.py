"""Network addresses where the processes of a run meet; imports nothing heavy."""

import re
from collections.abc import Mapping

from utils import UsageError

_PORTS = range(1, 1 << 16)
_JOB, _TASKS, _TASK, _NODES = "SLURM_JOB_ID", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_STEP_NODELIST"
_SLURM_PORTS = range(61440, 1 << 16)  # above the usual range of ephemeral ports


def parse_address(text: str) -> tuple[str, int]:
    """Split ``HOST:PORT``, or ``[IPV6]:PORT``, into host and port.

    Raises:
        UsageError: the text has another form.
    """
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):([0-9]+)", text)
    if not found or int(found[2]) not in _PORTS:
        raise UsageError(f"{text!r} is not of the form HOST:PORT, like node1:5000")
    return found[1].strip("[]"), int(found[2])


def slurm_hosts(environment: Mapping[str, str]) -> tuple[int, int, str]:
    """Return the number of processes, this one's rank and the first one's address from Slurm.

    The port is derived from the job ID.

    Raises:
        UsageError: this process was not started by ``srun``.
    """
    try:
        job, tasks, task = (int(environment[name]) for name in (_JOB, _TASKS, _TASK))
        first = first_node(environment[_NODES])
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"--slurm: start the command with srun, which sets {_TASK} and {_NODES}"
        ) from error
    return tasks, task, f"{first}:{_SLURM_PORTS[job % len(_SLURM_PORTS)]}"


def first_node(nodes: str) -> str:
    """Return the first host in a Slurm host list such as ``gpu[003-005,9],login1``.

    Raises:
        ValueError: there is none.
    """
    found = re.match(r"(?:[^,\[]|\[\d[^\]]*\])+", nodes)
    if not found:
        raise ValueError(nodes)
    return re.sub(r"\[(\d+)[^\]]*\]", r"\1", found[0])
