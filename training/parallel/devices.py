"""The devices of this machine: which ones the backend sees, and which ones to train on."""

import logging
import re
from pathlib import Path

import keras

from utils import UsageError

logger = logging.getLogger(__name__)

CPUINFO = Path("/proc/cpuinfo")

# Instruction sets named there, on x86 and ARM. Without them, every value is converted to float32
# and back.
_INSTRUCTIONS = {
    "bfloat16": {"avx512_bf16", "amx_bf16", "bf16"},
    "float16": {"avx512_fp16", "amx_fp16", "fphp"},
}


def choose(device_type: str, number: int) -> None:
    """Make the backend see only the CPU, as ``number`` devices, if ``device_type`` is ``"cpu"``.

    This has no effect once the backend has initialized its devices.
    """
    if device_type == "cpu" and keras.backend.backend() in _CPU_DEVICES:
        try:
            _CPU_DEVICES[keras.backend.backend()](number)
        except RuntimeError as error:
            logger.debug("devices cannot be changed any more: %s", error)


def _tensorflow_cpus(number: int) -> None:
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")
    cpu, *_ = tf.config.list_physical_devices("CPU")
    devices = [tf.config.LogicalDeviceConfiguration() for _ in range(number)]
    tf.config.set_logical_device_configuration(cpu, devices)


def _jax_cpus(number: int) -> None:
    import jax

    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_num_cpu_devices", number)


_CPU_DEVICES = {"tensorflow": _tensorflow_cpus, "jax": _jax_cpus}


def count(device_type: str) -> int:
    """Count the devices of a type, ``"gpu"`` or ``"cpu"``, that the backend can use here."""
    try:
        return len(keras.distribution.list_devices(device_type))
    except (RuntimeError, AttributeError, NotImplementedError):
        # JAX raises if there is no GPU platform; Keras may not list devices for PyTorch.
        return _count_torch(device_type) if keras.backend.backend() == "torch" else 0


def _count_torch(device_type: str) -> int:
    import torch

    return torch.cuda.device_count() if device_type == "gpu" else 1


def chosen(device_type: str, wanted: int) -> list[str]:
    """Return the names of the ``wanted`` number of devices to train on.

    ``device_type`` is ``"gpu"``, ``"cpu"`` or ``"auto"``, which means GPUs, or the CPU if there is
    no GPU and one device is wanted.

    Raises:
        UsageError: there are not that many devices.
    """
    kind = "cpu" if device_type == "cpu" else "gpu"
    present = count(kind)
    possible = max(present, int(device_type == "auto"))
    if wanted > possible:
        advice = f"give at most --gpus {possible}" if possible else "leave out --device_type"
        raise UsageError(
            f"--gpus {wanted}: this machine has {present} {kind.upper()}{'s' * (present != 1)} "
            f"that {keras.backend.backend()} can use; {advice}"
        )
    if present == 0:
        logger.info("No GPU found: training on the CPU")
        return ["cpu:0"]
    return [f"{kind}:{i}" for i in range(wanted)]


def warn_if_emulated(precision: str, device_type: str) -> None:
    """Warn if a CPU lacks instructions for half precision, which is then slower than float32.

    Without ``/proc/cpuinfo`` there is no warning.
    """
    if device_type != "cpu" and count("gpu"):
        return
    try:
        found = re.findall(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        return
    if found and not _INSTRUCTIONS[precision] & set(found[0].split()):
        logger.warning(
            "--mixed_precision %s: this processor has no instructions for it; float32 is much "
            "faster here",
            precision,
        )
