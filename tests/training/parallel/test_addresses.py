"""Addresses of hosts, from an option and from Slurm's variables."""

import pytest

from training.parallel.addresses import first_node, parse_address, slurm_hosts
from utils import UsageError


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("node1:5000", ("node1", 5000)),
        ("10.0.0.7:1", ("10.0.0.7", 1)),
        ("[fe80::1]:65535", ("fe80::1", 65535)),
    ],
)
def test_addresses(text, address):
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["node1", "node1:", ":5000", "node1:0", "node1:65536", "a b:1"])
def test_malformed_addresses(text):
    with pytest.raises(UsageError, match="HOST:PORT"):
        parse_address(text)


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("node001", "node001"),
        ("node001,login2", "node001"),
        ("node[003-015],login2", "node003"),
        ("node[7,009-015]", "node7"),
        ("rack[1-2]-ib,x", "rack1-ib"),
        ("rack[1-2]node[03-05,7],x", "rack1node03"),
    ],
)
def test_the_first_node_of_a_list(nodes, first):
    assert first_node(nodes) == first


def test_slurm():
    step = {
        "SLURM_JOB_ID": "8193",
        "SLURM_NTASKS": "4",
        "SLURM_PROCID": "2",
        "SLURM_STEP_NODELIST": "gpu[03-06]",
    }
    assert slurm_hosts(step) == (4, 2, "gpu03:61441")
    for name in step:
        with pytest.raises(UsageError, match="srun"):
            slurm_hosts({key: value for key, value in step.items() if key != name})
