"""The processes that train one network together; imports nothing heavy."""

from dataclasses import dataclass

from utils import UsageError


@dataclass(frozen=True)
class Group:
    """The processes that train together, from the point of view of one of them."""

    replicas: int = 1  # replicas of the network in all processes together
    processes: int = 1  # number of processes
    rank: int = 0  # rank of this process, from 0

    @property
    def writes(self) -> bool:
        """Whether this process reports and writes files."""
        return self.rank == 0

    def check_batch_size(self, size: int) -> None:
        """Refuse batches that cannot be divided equally among the replicas.

        Raises:
            UsageError: suggests the nearest possible sizes.
        """
        below = size - size % self.replicas
        if below != size:
            nearest = " or ".join(str(n) for n in (below, below + self.replicas) if n)
            raise UsageError(
                f"--batch_size {size}: cannot be divided equally among {self.replicas} replicas; "
                f"give {nearest}"
            )

    def rounded_up(self, size: int) -> int:
        """Round up to a multiple of the number of replicas."""
        return -(-size // self.replicas) * self.replicas


ALONE = Group()
"""One process with one device."""
