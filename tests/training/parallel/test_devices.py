"""Half precision on processors without instructions for it: one line of warning."""

import pytest

from training.parallel import devices

X86 = "processor\t: 0\nflags\t\t: fpu avx2 {}\nbugs\t\t:\n\nprocessor\t: 1\nflags\t\t: fpu\n"
ARM = "processor\t: 0\nFeatures\t: fp asimd {}\n"


@pytest.mark.parametrize(
    ("cpuinfo", "kind", "device_type", "gpus", "warned"),
    [
        (X86.format(""), "bfloat16", "auto", 0, True),
        (X86.format("avx512f"), "bfloat16", "auto", 0, True),
        (X86.format("avx512_bf16"), "bfloat16", "auto", 0, False),
        (X86.format("avx512_bf16"), "float16", "auto", 0, True),
        (ARM.format("bf16"), "bfloat16", "auto", 0, False),
        (ARM.format("fphp"), "float16", "auto", 0, False),
        (ARM.format(""), "bfloat16", "auto", 0, True),
        (X86.format(""), "bfloat16", "auto", 1, False),
        (X86.format(""), "bfloat16", "cpu", 1, True),
        ("", "bfloat16", "auto", 0, False),  # the system does not tell
        (None, "bfloat16", "auto", 0, False),
    ],
)
def test_a_warning_where_it_is_emulated(
    tmp_path, monkeypatch, caplog, cpuinfo, kind, device_type, gpus, warned
):
    if cpuinfo is not None:
        (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(devices, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(devices, "count", lambda kind: gpus if kind == "gpu" else 1)
    devices.warn_if_emulated(kind, device_type)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * warned
    assert all(f"--mixed_precision {kind}: " in text for text in caplog.messages)
