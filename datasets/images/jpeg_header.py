"""What an ordinary JPEG file says before its pixels, read faster than by opening it with Pillow.

Segments and their markers: ITU-T T.81, Annex B, https://www.w3.org/Graphics/JPEG/itu-t81.pdf
"""

import struct

_START, _SCAN, _FRAMES = b"\xff\xd8", 0xDA, frozenset((0xC0, 0xC1, 0xC2))
_QUANTIZATION, _JFIF = 0xDB, 0xE0
_SKIPPED = frozenset((0xC4, 0xDD, 0xFE))  # Huffman tables, restart interval, comment
_JFIF_LENGTH = 16  # at least
_TABLE_LENGTH = 65  # of 8-bit numbers


def ordinary_shape(content: bytes) -> tuple[int, int, int] | None:
    """Height, width and number of components of a JPEG file without anything unusual.

    Args:
        content: of the file.

    Returns:
        None for anything else than 8-bit images in sequential or progressive JPEG without
        metadata. Whether the rest of the file is damaged shows when it is decoded.
    """
    place, shape = len(_START), None
    while content.startswith(_START) and len(content) >= place + 4:
        first, marker, length = struct.unpack_from(">BBH", content, place)
        if first != 0xFF or length < 2:
            return None
        if marker == _SCAN:
            return shape
        if marker in _FRAMES:
            if shape or not (shape := _frame(content, place + 4, length)):
                return None
        elif marker == _QUANTIZATION:
            if (length - 2) % _TABLE_LENGTH:
                return None
        elif marker == _JFIF:
            if length < _JFIF_LENGTH:
                return None
        elif marker not in _SKIPPED:
            return None
        place += 2 + length
    return None


def _frame(content: bytes, place: int, length: int) -> tuple[int, int, int] | None:
    if len(content) < place + 6:
        return None
    bits, height, width, components = struct.unpack_from(">BHHB", content, place)
    ordinary = bits == 8 and min(height, width) > 0 and length == 8 + 3 * components
    return (height, width, components) if ordinary else None
