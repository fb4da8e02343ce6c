"""Ways to damage a file: functions of a random generator and the content of a valid file."""

import json
import random
import string
import struct
import zlib
from collections.abc import Callable

Mutator = Callable[[random.Random, bytes], bytes]

_LARGEST = 2**20  # bytes that a mutation may add
NUMBERS = (0, 1, -1, 2, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1)
WORDS = (
    *("", " ", "0", "-1", "1.5", "nan", "inf", "1e400", "9" * 20, "9" * 5000, "0x10", "١", "²"),
    *("..", "../../etc/passwd", "/etc/passwd", "a/../b", "\0", "a\0b", "\u2028", "\x1b[31m", "é"),
    *(
        "\r",
        "\x85",
        "x" * 5000,
        "%s%n",
        "${HOME}",
        "[1]",
        "#",
        ":",
        ",",
        "-",
        "\ufeff",
        "\U0010ffff",
    ),
)
"""Text that readers of text may stumble over."""
VALUES = (
    *(None, True, 0, -1, 1.5, 10**12, 10**400, 2**31, float("inf"), "", "a", "../x", [], {}, [[]]),
    *([0] * 1000, {"class_name": "Lambda", "config": {}}, "x" * 5000, [None, None, None, 3]),
)
"""What an entry of JSON may be replaced with."""


def flip(rng: random.Random, content: bytes) -> bytes:
    """Other bytes in a few places."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 3, 10)) if changed else 0):
        changed[rng.randrange(len(changed))] = rng.randrange(256)
    return bytes(changed)


def flip_ends(rng: random.Random, content: bytes) -> bytes:
    """Another byte where headers and directories are: within 300 bytes of begin or end."""
    changed = bytearray(content)
    if changed:
        at = rng.randrange(min(300, len(changed)))
        changed[rng.choice((at, -1 - at))] = rng.randrange(256)
    return bytes(changed)


def truncate(rng: random.Random, content: bytes) -> bytes:
    """The begin of the file."""
    return content[: rng.randrange(len(content) + 1)]


def splice(rng: random.Random, content: bytes) -> bytes:
    """A part of the file in another place of it, over what was there."""
    begin, end = _part(rng, content)
    at = rng.randrange(len(content) + 1)
    return content[:at] + content[begin:end] + content[at + end - begin :]


def repeat(rng: random.Random, content: bytes) -> bytes:
    """A part of the file many times."""
    begin, end = _part(rng, content)
    times = min(rng.choice((2, 10, 1000)), _LARGEST // max(1, end - begin) + 1)
    return content[:begin] + content[begin:end] * times + content[end:]


def insert(rng: random.Random, content: bytes) -> bytes:
    """Random bytes in between."""
    at = rng.randrange(len(content) + 1)
    return content[:at] + rng.randbytes(rng.choice((1, 2, 8, 100))) + content[at:]


def delete(rng: random.Random, content: bytes) -> bytes:
    """The file without a part."""
    begin, end = _part(rng, content)
    return content[:begin] + content[end:]


def number(rng: random.Random, content: bytes) -> bytes:
    """An extreme number, of one to eight bytes, over what was there."""
    size = rng.choice((1, 2, 4, 8))
    if len(content) < size:
        return content
    value = rng.choice(NUMBERS) % 2 ** (8 * size)
    at = rng.randrange(len(content) - size + 1)
    return content[:at] + value.to_bytes(size, rng.choice(("little", "big"))) + content[at + size :]


BYTES: tuple[Mutator, ...] = (
    *(flip, flip, flip_ends, flip_ends, truncate, splice, repeat, insert, delete, number, number),
)
"""For every kind of file; those that find most stand twice."""


def lines(rng: random.Random, content: bytes) -> bytes:
    """A line twice, in another place, left out, or many times."""
    rows = content.split(b"\n")
    at, other = rng.randrange(len(rows)), rng.randrange(len(rows))
    change = rng.randrange(4)
    if change == 0:
        rows.insert(other, rows[at])
    elif change == 1:
        rows[at], rows[other] = rows[other], rows[at]
    elif change == 2:
        del rows[at]
    else:
        rows[at:at] = [rows[at]] * 1000
    return b"\n".join(rows)


def word(rng: random.Random, content: bytes) -> bytes:
    """A word replaced, or followed, by one that readers may stumble over."""
    rows = content.split(b"\n")
    at = rng.randrange(len(rows))
    words = rows[at].split(b" ")
    new = rng.choice(WORDS).encode()
    position = rng.randrange(len(words))
    words[position : position + rng.randrange(2)] = [new]
    rows[at] = b" ".join(words)
    return b"\n".join(rows)


def letters(rng: random.Random, content: bytes) -> bytes:
    """A few other printable letters."""
    changed = bytearray(content)
    for _ in range(rng.choice((1, 2, 5)) if changed else 0):
        changed[rng.randrange(len(changed))] = ord(rng.choice(string.printable))
    return bytes(changed)


TEXT: tuple[Mutator, ...] = (*BYTES, *(lines, word, letters) * 3)
"""For text files."""


def json_value(rng: random.Random, content: bytes) -> bytes:
    """JSON with a few entries replaced, left out or doubled."""
    plain = json.loads(content)
    for _ in range(rng.choice((1, 1, 2, 4))):
        places = _places(plain)
        if not places:
            break
        holder, key = rng.choice(places)
        change = rng.randrange(5)
        if change == 0:
            del holder[key]
        elif change == 1 and isinstance(holder, list):
            holder.insert(key, _copy(holder[key]))
        elif change == 2:
            other, name = rng.choice(places)
            holder[key] = _copy(other[name])
        else:
            # A list in two places, or in itself, would not be JSON any more.
            holder[key] = _copy(rng.choice(VALUES))
    return json.dumps(plain).encode()


def _copy(value: object) -> object:
    return json.loads(json.dumps(value))


def png_chunk(rng: random.Random, content: bytes) -> bytes:
    """A PNG file with a chunk damaged, doubled or left out, and checksums that are right."""
    chunks, at = [], 8
    while at < len(content):
        size = struct.unpack_from(">I", content, at)[0]
        chunks.append((content[at + 4 : at + 8], content[at + 8 : at + 8 + size]))
        at += 12 + size
    at = rng.randrange(len(chunks))
    kind, data = chunks[at]
    change = rng.randrange(4)
    if change == 0:
        del chunks[at]
    elif change == 1:
        chunks.insert(rng.randrange(len(chunks) + 1), (kind, data))
    else:
        chunks[at] = kind, rng.choice(BYTES)(rng, data)
    return png(chunks)


def png(chunks: list[tuple[bytes, bytes]]) -> bytes:
    """A PNG file of these chunks: kind and content of each."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def opcodes(rng: random.Random, content: bytes) -> bytes:
    """A pickle with a few codes put in that build, copy, call or name things."""
    codes = (
        *(b"(", b"]", b"}", b")", b"t", b"l", b"d", b"0", b"1", b"2", b"a", b"e", b"s", b"u", b"R"),
        *(b"b", b"\x81", b"\x85", b"\x86", b"\x87", b"\x8f", b"\x90", b"\x91", b"\x92", b"\x93"),
        *(b"\x94", b"o", b"h\0", b"q\0", b"j\1\0\0\0", b"N", b"\x88", b"K\0", b"J\xff\xff\xff\x7f"),
        *(b"cos\nsystem\n", b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"c__builtin__\nset\n"),
        *(
            b"c_codecs\nencode\n",
            b"ccollections\nOrderedDict\n",
            b"U\x02U0",
            b"U\x02|O",
            b"X\0\0\0\0",
        ),
    )
    at = rng.randrange(len(content) + 1)
    new = b"".join(rng.choice(codes) for _ in range(rng.choice((1, 2, 5))))
    return content[:at] + new + content[at:]


def deflated(rng: random.Random, content: bytes) -> bytes:
    """A MATLAB file with its compressed elements damaged on the inside."""
    parts, at = [content[:128]], 128
    while at + 8 <= len(content):
        kind, size = struct.unpack_from("<II", content, at)
        data = content[at + 8 : at + 8 + size]
        if kind == 15:
            data = zlib.compress(rng.choice(BYTES)(rng, zlib.decompress(data)))
        parts.append(struct.pack("<II", kind, len(data)) + data)
        at += 8 + size
    return b"".join(parts)


def _part(rng: random.Random, content: bytes) -> tuple[int, int]:
    begin = rng.randrange(len(content) + 1)
    return begin, min(len(content), begin + rng.choice((1, 4, 16, 100, 1000)))


def _places(plain: object) -> list[tuple]:
    """Every container in JSON with each of its keys or positions."""
    found, waiting = [], [plain]
    while waiting:
        part = waiting.pop()
        keys = (
            part.keys()
            if isinstance(part, dict)
            else range(len(part))
            if isinstance(part, list)
            else ()
        )
        found += [(part, key) for key in keys]
        waiting += [part[key] for key in keys]
    return found
