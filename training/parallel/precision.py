"""Instructions that processors need to be fast in half precision."""

import logging
import re
from pathlib import Path

from training.parallel import devices

logger = logging.getLogger(__name__)

# Names in /proc/cpuinfo, for x86 and ARM. Without them, every number is converted back and forth.
INSTRUCTIONS = {
    "bfloat16": {"avx512_bf16", "amx_bf16", "bf16"},
    "float16": {"avx512_fp16", "amx_fp16", "fphp"},
}
CPUINFO = Path("/proc/cpuinfo")


def warn_if_emulated(precision: str, device_type: str) -> None:
    """Warn if half precision is slower than float32: on CPUs without instructions for it.

    Without ``/proc/cpuinfo`` there is no warning.

    Args:
        precision: a key of ``INSTRUCTIONS``.
        device_type: value of ``--device_type``.
    """
    if device_type != "cpu" and devices.count("gpu"):
        return
    try:
        told = re.findall(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        return
    if told and not INSTRUCTIONS[precision] & set(told[0].split()):
        logger.warning(
            "--mixed_precision %s: this processor has no instructions for it; float32 is much "
            "faster here",
            precision,
        )
