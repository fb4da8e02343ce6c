"""Damage as disks, transfers and people do it, drawn by Hypothesis."""

from hypothesis import strategies as st

EDGE = 300  # bytes at both ends of a file, where headers and directories are
LONGEST = 2**20  # bytes of a file after one damage, or its own length

Damage = tuple
"""Name of a function of this module, and its arguments after the content."""


def flip(content: bytes, at: int, bit: int) -> bytes:
    """Flip one bit."""
    flipped = bytes(byte ^ 1 << bit for byte in content[at : at + 1])
    return content[:at] + flipped + content[at + 1 :]


def cut(content: bytes, at: int) -> bytes:
    """Lose the end of the file."""
    return content[:at]


def delete(content: bytes, at: int, length: int) -> bytes:
    """Lose a part."""
    return content[:at] + content[at + length :]


def insert(content: bytes, at: int, new: bytes) -> bytes:
    """Insert bytes."""
    return content[:at] + new + content[at:]


def overwrite(content: bytes, at: int, new: bytes) -> bytes:
    """Replace bytes."""
    return content[:at] + new + content[at + len(new) :]


def repeat(content: bytes, at: int, length: int, times: int) -> bytes:
    """Repeat a part."""
    part = content[at : at + length]
    return content[:at] + part * min(times, LONGEST // length) + content[at + length :]


def swap(content: bytes, at: int, other: int, length: int) -> bytes:
    """Swap two parts."""
    first, second = sorted((at, other))
    length = min(length, second - first)
    a, b = content[first : first + length], content[second : second + length]
    return content[:first] + b + content[first + length : second] + a + content[second + length :]


_FUNCTIONS = {f.__name__: f for f in (flip, cut, delete, insert, overwrite, repeat, swap)}
_NUMBERS = [
    number.to_bytes(size, order)
    for size in (1, 2, 4, 8)
    for number in (0, 1, 2 ** (8 * size - 1) - 1, 2 ** (8 * size - 1), 2 ** (8 * size) - 1)
    for order in ("little", "big")
]
_WORDS = [
    *(b"\n", b" ", b",", b"#", b"[", b"{", b"\0", b"\x85", "²".encode(), "\u2028".encode()),
    *(b"-1", b"1.5", b"nan", b"inf", b"1e400", b"9" * 20, b"9" * 5000, b"x" * 5000, b"%s%n"),
    *(b"..", b"../../etc/passwd", b"/etc/passwd"),
]


def damages(size: int) -> st.SearchStrategy[list[Damage]]:
    """Return a strategy for one to three damages of a file of ``size`` bytes."""
    place = st.one_of(
        st.integers(0, size),
        st.integers(0, min(EDGE, size)),
        st.integers(max(0, size - EDGE), size),
    )
    length = st.sampled_from((1, 4, 16, 100, 1000))
    new = st.one_of(
        st.binary(min_size=1, max_size=8), st.sampled_from(_NUMBERS), st.sampled_from(_WORDS)
    )
    arguments = {
        "flip": (st.integers(0, 7),),
        "cut": (),
        "delete": (length,),
        "insert": (new,),
        "overwrite": (new,),
        "repeat": (length, st.sampled_from((2, 10, 1000))),
        "swap": (place, length),
    }
    kinds = [st.tuples(st.just(name), place, *more) for name, more in arguments.items()]
    return st.lists(st.one_of(kinds), min_size=1, max_size=3)


def damaged(content: bytes, damages: list[Damage]) -> bytes:
    """Return the content after all damages."""
    for name, *arguments in damages:
        content = _FUNCTIONS[name](content, *arguments)
    return content
