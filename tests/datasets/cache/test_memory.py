"""Available memory in made-up trees of control groups."""

import os

import pytest

from datasets.cache import memory
from datasets.cache.memory import available_memory

GB = 10**9
OF_MACHINE = 64_000_000 * 1024
UNLIMITED_V1 = 9223372036854771712


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "_ROOT", tmp_path)
    write(tmp_path, "proc/meminfo", "MemTotal: 99 kB\nMemAvailable:   64000000 kB\n")
    return tmp_path


def write(root, name, text):
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)


def limit(root, folder, most, used, cached):
    """Version 2."""
    folder = f"sys/fs/cgroup/{folder}"
    write(root, f"{folder}/memory.max", f"{most}\n")
    write(root, f"{folder}/memory.current", f"{used}\n")
    write(root, f"{folder}/memory.stat", f"anon 5\nactive_file 7\ninactive_file {cached}\n")


def limit_v1(root, folder, most, used, cached):
    folder = f"sys/fs/cgroup/memory/{folder}"
    write(root, f"{folder}/memory.limit_in_bytes", f"{most}\n")
    write(root, f"{folder}/memory.usage_in_bytes", f"{used}\n")
    write(root, f"{folder}/memory.stat", f"inactive_file 3\ntotal_inactive_file {cached}\n")


def test_without_groups_the_machine_sets_the_limit(root):
    assert available_memory() == OF_MACHINE


def test_the_topmost_group_is_that_of_the_container(root):
    limit(root, ".", 8 * GB, 3 * GB, GB)
    assert available_memory() == 6 * GB
    write(root, "proc/self/cgroup", "0::/../../elsewhere\n")
    assert available_memory() == 6 * GB
    write(root, "proc/self/cgroup", "0::/hidden/from/here\n")
    assert available_memory() == 6 * GB


@pytest.mark.parametrize("tight", ["slurm", "slurm/job_7", "slurm/job_7/step: 0"])
def test_the_tightest_group_on_the_way_up_decides(root, tight):
    write(root, "proc/self/cgroup", "1:name=systemd:/x\n0::/slurm/job_7/step: 0\n")
    for folder in ("slurm", "slurm/job_7", "slurm/job_7/step: 0"):
        limit(root, folder, "max", GB, 0)
    limit(root, "another", 2 * GB, GB, 0)
    assert available_memory() == OF_MACHINE
    limit(root, tight, 5 * GB, 2 * GB, 10)
    assert available_memory() == 3 * GB + 10


@pytest.mark.parametrize("tight", ["docker", "docker/abc"])
def test_version_1(root, tight):
    write(root, "proc/self/cgroup", "5:cpu,memory:/docker/abc\n4:cpu:/z\n0::/\n")
    for folder in (".", "docker", "docker/abc"):
        limit_v1(root, folder, UNLIMITED_V1, GB, 0)
    assert available_memory() == OF_MACHINE
    limit_v1(root, tight, 5 * GB, 2 * GB, 10)
    assert available_memory() == 3 * GB + 10


def test_version_1_in_a_container_that_hides_its_path(root):
    write(root, "proc/self/cgroup", "5:memory:/docker/abc\n")
    limit_v1(root, ".", 5 * GB, 2 * GB, 0)
    assert available_memory() == 3 * GB


def test_used_up_is_not_negative(root):
    limit(root, ".", GB, 2 * GB, 0)
    assert available_memory() == 0


def test_systems_without_these_files(root, monkeypatch):
    (root / "proc/meminfo").unlink()
    pages = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", pages.__getitem__, raising=False)
    assert available_memory() == 2_048_000
    monkeypatch.delattr(os, "sysconf")
    assert available_memory() == 0
