"""Who trains one network together; imports nothing heavy."""

from dataclasses import dataclass

from utils import UsageError


@dataclass(frozen=True)
class Group:
    """Who trains together, and which part this process has in it.

    Attributes:
        replicas: of the network, in all processes together.
        processes: how many share the work.
        rank: which of them this one is, from 0.
    """

    replicas: int = 1
    processes: int = 1
    rank: int = 0

    @property
    def writes(self) -> bool:
        """Whether this process is the one that reports and writes files."""
        return self.rank == 0

    def check_batch_size(self, size: int) -> None:
        """Refuses training batches that cannot be shared out equally.

        Raises:
            UsageError: names the nearest sizes.
        """
        below = size - size % self.replicas
        if below != size:
            nearest = " or ".join(str(n) for n in (below, below + self.replicas) if n)
            raise UsageError(
                f"--batch_size {size}: cannot be shared equally by {self.replicas} replicas; "
                f"give {nearest}"
            )

    def rounded_up(self, size: int) -> int:
        """The least multiple of the number of replicas that is not below ``size``."""
        return -(-size // self.replicas) * self.replicas


ALONE = Group()
"""One process with one device."""
