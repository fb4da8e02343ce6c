"""Files made to execute or overwrite something, to unpack to far more than they are, or to hang.

Whoever runs them finds a file ``executed`` in the current folder.
"""

import base64
import io
import json
import marshal
import os
import pickle
import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from functools import partial

import h5py
import numpy as np
from PIL import Image

from storage.seals import SEAL
from tests.hostile.images import SIZE, image, saved
from tests.hostile.models import content

_TOUCH = "touch executed"


class Call:
    """Pickles as the call of a function."""

    def __init__(self, function: Callable, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _laughs(levels: int) -> list:
    """Return a list of lists of lists, each ten times the same ("billion laughs")."""
    parts = [1]
    for _ in range(levels):
        parts = [parts] * 10
    return parts


PICKLES = {
    "a system call": pickle.dumps({"data": Call(os.system, _TOUCH)}),
    "a system call, in text": pickle.dumps(Call(os.system, _TOUCH), 0),
    "eval": pickle.dumps([Call(eval, "open('executed', 'w')")]),
    "exec": b"\x80\x02c__builtin__\nexec\nU\x14open('executed','w')\x85R.",
    "a process": pickle.dumps(Call(subprocess.Popen, ["touch", "executed"])),
    "an instance": b"(S'touch executed'\nios\nsystem\n.",
    "a class": b"(cos\nsystem\nS'touch executed'\no.",
    "a dotted name": b"\x80\x04\x8c\x05numpy\x8c\x0endarray.tofile\x93.",
    "a memory map": pickle.dumps(Call(np.memmap, "executed", "u1", "w+", 0, (10,))),
}
ENDLESS = {
    "lists of lists": pickle.dumps({"feat": _laughs(40), "embedding": _laughs(40), "labels": [1]}),
    "10,000 levels": b"\x80\x02" + b"]" * 10_000 + b"a" * 9_999 + b".",
    "itself": b"\x80\x02]q\0h\0a.",
    "a key of 2**60 parts": b"\x80\x02}K\x01" + b"2\x86" * 60 + b"Ns.",
}


def _npz(header: str) -> bytes:
    """Return an archive of arrays with this header, under all names that are asked for."""
    file = io.BytesIO()
    text = header.encode("latin1")
    with zipfile.ZipFile(file, "w") as archive:
        for name in ("embedding", "ind2label", "features", "labels"):
            member = b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text + bytes(8)
            archive.writestr(f"{name}.npy", member)
    return file.getvalue()


def _packed(start: bytes, zeros: int) -> bytes:
    """Return the zlib stream of ``start`` and so many zeros, packed once for all megabytes."""
    packer = zlib.compressobj(1)
    whole, rest = divmod(zeros, 2**20)
    head = packer.compress(start + bytes(rest)) + packer.flush(zlib.Z_FULL_FLUSH)
    megabyte = packer.compress(bytes(2**20)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(1, wbits=-zlib.MAX_WBITS).flush()
    sum_ = zlib.adler32(start)
    low, high = sum_ & 0xFFFF, sum_ >> 16  # a zero adds the low half to the high one
    end = struct.pack(">HH", (high + zeros * low) % 65_521, low)
    return head + megabyte * whole + last + end


class _Packed:
    """What zipfile takes for a compressor, for a member that is packed already."""

    def __init__(self, stream: bytes):
        self.stream = stream[2:-4]  # without the frame of zlib

    def compress(self, data: bytes) -> bytes:
        return b""

    def flush(self) -> bytes:
        return self.stream


def _zeros(name: str, labels: str) -> bytes:
    """Return an archive of 0.5 GB of booleans, which are four times as large as numbers."""
    size = 2**29
    file = io.BytesIO()
    header = f"{{'descr': '|b1', 'fortran_order': False, 'shape': (1, {size}), }}\n".encode()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        start = b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header
        with archive.open(f"{name}.npy", "w") as member:
            member._compressor = _Packed(_packed(start, size))
            member.write(start)
            for _ in range(size // 2**20):
                member.write(bytes(2**20))
        content = io.BytesIO()
        np.save(content, np.array([1]))
        archive.writestr(f"{labels}.npy", content.getvalue())
    return file.getvalue()


ARCHIVES = {
    "objects": _npz("{'descr': '|O', 'fortran_order': False, 'shape': (1,), }\n"),
    "code in a header": _npz("__import__('os').system('touch executed')"),
    "8 PB": _npz("{'descr': '<f8', 'fortran_order': False, 'shape': (10**15,), }\n"),
    "a pickle": PICKLES["a system call"],
}


def _edited(suffix: str, edit: Callable[[dict], None]) -> bytes:
    """Return the model with another configuration."""
    if suffix == ".h5":
        return edited_hdf5(content(".h5"), lambda file: _edit_attribute(file, edit))
    return rewritten(content(".keras"), "config.json", lambda data: _edit_json(data, edit))


def _edit_json(data: str | bytes, edit: Callable[[dict], None]) -> str:
    plain = json.loads(data)
    edit(plain)
    return json.dumps(plain)


def _edit_attribute(file: h5py.File, edit: Callable[[dict], None]) -> None:
    file.attrs["model_config"] = _edit_json(file.attrs["model_config"], edit)


def edited_hdf5(data: bytes, edit: Callable[[h5py.File], None]) -> bytes:
    """Return an HDF5 file after ``edit``, without its digest."""
    file = io.BytesIO(data)
    with h5py.File(file, "r+") as opened:
        edit(opened)
        opened.attrs.pop(SEAL, None)
    return file.getvalue()


def rewritten(archive: bytes, member: str, edit: Callable[[bytes], str | bytes]) -> bytes:
    """Return a zip archive with other content of one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(archive)) as old, zipfile.ZipFile(file, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, edit(data) if name == member else data)
    return file.getvalue()


def _layer(plain: dict, kind: str) -> dict:
    return next(layer for layer in plain["config"]["layers"] if layer["class_name"] == kind)


def _replace(**entries) -> Callable[[dict], None]:
    """Put another layer in the place of the activation."""
    return lambda plain: _layer(plain, "ReLU").update(entries)


def _set(kind: str, **entries) -> Callable[[dict], None]:
    return lambda plain: _layer(plain, kind)["config"].update(entries)


def _function(module: str, name: str) -> dict:
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


_CODE = base64.b64encode(
    marshal.dumps((lambda x: __import__("os").system("touch executed") or x).__code__)
).decode()
_LAMBDA = {
    "class_name": "__lambda__",
    "config": {"value": [_CODE, None, None], "code": _CODE, "defaults": None, "closure": None},
}
_UNSAFE = {"activation": _function("keras.config", "enable_unsafe_deserialization")}
CONFIGURATIONS = {
    "a lambda": _replace(class_name="Lambda", config={"name": "relu", "function": _LAMBDA}),
    "a lambda as activation": _set("Dense", activation=_LAMBDA),
    "a lambda as initializer": _set("Conv2D", kernel_initializer=_LAMBDA),
    "a lambda within": _replace(
        class_name="TimeDistributed", config={"layer": {"class_name": "Lambda", "config": {}}}
    ),
    "a system call": _replace(module="os", class_name="system", config={"command": _TOUCH}),
    "a process": _replace(
        module="subprocess", class_name="Popen", config={"args": ["touch", "executed"]}
    ),
    "eval": _set("Dense", activation=_function("builtins", "eval")),
    "a download": _set("Dense", activation=_function("keras.utils", "get_file")),
    "NumPy's loader": _set("Dense", activation=_function("numpy", "load")),
    "unsafe mode": _replace(class_name="Activation", config=_UNSAFE),
    "a SavedModel": _replace(class_name="TFSMLayer", config={"filepath": "/etc", "name": "relu"}),
    "a PyTorch module": _replace(class_name="TorchModuleWrapper", config={"module": "x"}),
    "a JAX function": _replace(class_name="JaxLayer", config={"call_fn": _LAMBDA}),
    "a vocabulary file": _replace(
        class_name="StringLookup", config={"vocabulary": "/etc/passwd", "name": "relu"}
    ),
    "10**12 units": _set("Dense", units=10**12),
}


def _array(file: h5py.File) -> str:
    """Return the path of a matrix."""
    is_matrix = lambda path, item: path if getattr(item, "ndim", 0) == 2 else None  # noqa: E731
    return file.visititems(is_matrix)


def _link(link: object) -> Callable[[h5py.File], None]:
    def edit(file: h5py.File) -> None:
        path = _array(file)
        del file[path]
        file[path] = link

    return edit


def _borrow(file: h5py.File) -> None:
    """Take the bytes of an array from another file."""
    path = _array(file)
    shape = file[path].shape
    del file[path]
    external = [("/etc/passwd", 0, 4 * shape[0] * shape[1])]
    file.create_dataset(path, shape, "f4", external=external)


def _enlarge(file: h5py.File) -> None:
    path = _array(file)
    del file[path]
    file.create_dataset(path, (2**20, 2**20), "f4", chunks=(2**10, 2**10), compression="gzip")


LINKS = {
    "a link to another file": _link(h5py.ExternalLink("other.h5", "/secret")),
    "an array in /etc/passwd": _borrow,
    "4 TB": _enlarge,
}


def _with_weights(edit: Callable[[h5py.File], None]) -> bytes:
    return rewritten(content(".keras"), "model.weights.h5", lambda data: edited_hdf5(data, edit))


def appended(archive: bytes, name: str) -> bytes:
    """Return a zip archive with one more member."""
    file = io.BytesIO(archive)
    with zipfile.ZipFile(file, "a") as opened:
        opened.writestr(name, b"overwritten")
    return file.getvalue()


def png(*chunks: tuple[bytes, bytes]) -> bytes:
    """Return a PNG file of these chunks, each a type and its content."""
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def _png(width: int, height: int, *chunks: tuple[bytes, bytes], rows: bytes) -> bytes:
    header = b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return png(header, *chunks, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))


def _webp(width: int, height: int) -> bytes:
    """Return a lossless WebP file of one color, which takes no bytes for its pixels."""
    data = saved(Image.new("RGB", (16, 16)), "WEBP", lossless=True)
    place = data.index(b"VP8L") + 9
    sizes = struct.unpack_from("<I", data, place)[0] & ~0xFFFFFFF | (width - 1) | (height - 1) << 14
    return data[:place] + struct.pack("<I", sizes) + data[place + 4 :]


_JPEG = saved(image(), "JPEG")
_SIZE_OF_JPEG = _JPEG.index(b"\xff\xc0") + 5
IMAGES = {
    "PostScript, which is a program": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 24 20\n"
    b"%%EndComments\n(executed) (w) file closefile showpage\n%%EOF\n",
    "a PNG of 40,000 by 40,000": _png(40_000, 40_000, rows=bytes(100)),
    "a PNG with 100 MB of text": _png(
        *SIZE,
        (b"zTXt", b"a\0\0" + _packed(b"", 100_000_000)),
        rows=bytes(SIZE[1] * (1 + 3 * SIZE[0])),
    ),
    "a JPEG of 65,535 by 65,535": _JPEG[:_SIZE_OF_JPEG] + b"\xff" * 4 + _JPEG[_SIZE_OF_JPEG + 4 :],
    "a WebP of 16,383 by 5,400": _webp(16_383, 5_400),
    "a JPEG with 10,000 parts of metadata": _JPEG[:2]
    + (b"\xff\xe1\0\x1cExif\0\0" + b"x" * 20) * 10_000
    + _JPEG[2:],
    "a PPM of 40,000 by 40,000": b"P6 40000 40000 255\n" + bytes(100),
}


def _element(kind: int, data: bytes) -> bytes:
    return struct.pack("<II", kind, len(data)) + data + bytes(-len(data) % 8)


def _mat(kind: int, *parts: bytes, levels: int = 1) -> bytes:
    """Return a MATLAB file of cells within cells, the innermost an array of class ``kind``."""
    shape = _element(5, struct.pack("<2i", 1, 1))
    inner = _element(6, struct.pack("<II", kind, 0)) + shape + _element(1, b"") + b"".join(parts)
    head = _element(6, struct.pack("<II", 1, 0)) + shape + _element(1, b"labels")
    size, heads = len(inner), []
    for _ in range(levels):  # from the inside out
        heads.append(head + struct.pack("<II", 14, size))
        size += len(heads[-1])
    start = b"MATLAB 5.0".ljust(124) + b"\0\1IM" + struct.pack("<II", 14, size)
    return start + b"".join(reversed(heads)) + inner


def _mat_of_zeros(size: int) -> bytes:
    shape = _element(5, struct.pack("<2i", 1, size))
    head = _element(6, struct.pack("<II", 9, 0)) + shape + _element(1, b"labels")
    assert size % 8 == 0  # elements are padded to that
    inner = struct.pack("<II", 2, size)
    packed = _packed(struct.pack("<II", 14, len(head) + len(inner) + size) + head + inner, size)
    return b"MATLAB 5.0".ljust(124) + b"\0\1IM" + struct.pack("<II", 15, len(packed)) + packed


MATLAB = {
    "a function": _mat(16, _element(14, b"")),
    "an object": _mat(17, _element(14, b"")),
    "100,000 levels": _mat(9, _element(9, bytes(8)), levels=100_000),
}


def _fixed(table: dict[str, bytes]) -> dict[str, Callable[[], bytes]]:
    return {title: lambda data=data: data for title, data in table.items()}


_OF_PICKLES = ("embeddings .pickle, protocol 4", "features .pickle", "CIFAR-10 pickles")
CRAFTED: dict[str, dict[str, Callable[[], bytes]]] = {
    "pickle, protocol 4": _fixed(PICKLES),
    **dict.fromkeys(_OF_PICKLES, _fixed(PICKLES | ENDLESS)),
    "embeddings .npz, numbers": {
        **_fixed(ARCHIVES),
        "gigabytes of zeros": partial(_zeros, "embedding", "ind2label"),
    },
    "features .npz": {
        **_fixed(ARCHIVES),
        "gigabytes of zeros": partial(_zeros, "features", "labels"),
    },
    "JPEG": _fixed(IMAGES),
    "Flowers .mat": {**_fixed(MATLAB), "250 MB of zeros": partial(_mat_of_zeros, 250_000_000)},
    "model .keras": {
        **{title: partial(_edited, ".keras", edit) for title, edit in CONFIGURATIONS.items()},
        **{title: partial(_with_weights, edit) for title, edit in LINKS.items()},
        **_fixed({"a pickle": PICKLES["a system call"]}),
    },
    "model .h5": {
        **{title: partial(_edited, ".h5", edit) for title, edit in CONFIGURATIONS.items()},
        **{
            title: lambda edit=edit: edited_hdf5(content(".h5"), edit)
            for title, edit in LINKS.items()
        },
    },
    "weights of Keras 3": {
        title: lambda edit=edit: edited_hdf5(content(".weights.h5"), edit)
        for title, edit in LINKS.items()
    },
}
"""Reader → title → what makes the content of its first file."""
