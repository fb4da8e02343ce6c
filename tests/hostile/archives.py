"""Damages zip archives on the inside, so that their checksums are right."""

import io
import random
import warnings
import zipfile
from collections.abc import Callable

from tests.hostile.mutators import BYTES, Mutator

NAMES = ("../outside.txt", "/etc/outside.txt", "a/../../b", "a\0b", "x" * 5000, "config.json/")


def within(member: str, mutate: Mutator) -> Mutator:
    """A mutator that damages the content of one member."""

    def change(rng: random.Random, content: bytes) -> bytes:
        return rewritten(content, lambda name, data: mutate(rng, data) if name == member else data)

    return change


def any_member(rng: random.Random, content: bytes) -> bytes:
    """Damages the content of any member."""
    name = rng.choice(_names(content))
    return within(name, rng.choice(BYTES))(rng, content)


def rewritten(content: bytes, change: Callable[[str, bytes], bytes | None]) -> bytes:
    """The archive with other contents of its members; None leaves one out."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            data = change(info.filename, old.read(info.filename))
            if data is not None:
                new.writestr(info.filename, data)
    return file.getvalue()


def appended(content: bytes, name: str, data: bytes) -> bytes:
    """The archive with one more member."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, data)
    return file.getvalue()


def _names(content: bytes) -> list[str]:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return archive.namelist()


def _added(rng: random.Random, content: bytes) -> bytes:
    return appended(content, rng.choice([*NAMES, "new.txt"]), rng.randbytes(100))


def _left_out(rng: random.Random, content: bytes) -> bytes:
    gone = rng.choice(_names(content))
    return rewritten(content, lambda name, data: None if name == gone else data)


def _renamed(rng: random.Random, content: bytes) -> bytes:
    old, new = rng.choice(_names(content)).encode(), rng.randbytes(1)
    return content.replace(old, new + old[1:])


def _doubled(rng: random.Random, content: bytes) -> bytes:
    name = rng.choice(_names(content))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        data = archive.read(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which zipfile gives
        return appended(content, name, rng.choice(BYTES)(rng, data))


ARCHIVES: tuple[Mutator, ...] = (_added, _left_out, _renamed, _doubled, any_member)
"""For archives."""
