"""The reader of archives: files of NumPy are read, harmful archives are refused."""

import io
import struct
import zipfile

import numpy as np
import pytest

from storage.npz import float_vectors, is_dense, is_zip, read_member, read_npz


def archive(compression=zipfile.ZIP_DEFLATED, **members):
    """An archive of members with any content."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", compression) as writer:
        for name, content in members.items():
            writer.writestr(f"{name}.npy", content)
    return file


def npy(header, content=b"", version=b"\1\0"):
    """An array's file with any header."""
    header = header.encode("latin1")
    return b"\x93NUMPY" + version + struct.pack("<H", len(header)) + header + content


def plain_header(descr, shape):
    return f"{{'descr': {descr!r}, 'fortran_order': False, 'shape': {shape!r}, }}\n"


@pytest.mark.parametrize(
    "array",
    [
        np.arange(6).reshape(2, 3),
        np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        np.arange(5, dtype=">i4"),
        np.array(["a", "ü\U0001f600", ""]),
        np.array(["a", "ü"]).astype(">U1"),
        np.array([b"a", b"bc"]),
        np.array("one text"),
        np.array([True, False]),
        np.zeros((0, 4), np.float16),
    ],
)
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_archives_of_numpy_are_read(array, save):
    file = io.BytesIO()
    save(file, wanted=array, other=np.array([{}], dtype=object))
    found = read_npz(file, ["wanted", "absent"])
    assert list(found) == ["wanted"]
    assert found["wanted"].dtype == array.dtype and found["wanted"].flags.writeable
    np.testing.assert_array_equal(found["wanted"], array)


def test_headers_of_python_2_are_read_in_silence():
    header = "{'descr': '<i2', 'fortran_order': False, 'shape': (2L,), }\n"
    found = read_npz(archive(a=npy(header, b"\1\0\2\0")), ["a"])
    assert found["a"].tolist() == [1, 2]


def test_members_declared_beyond_the_limit_are_not_unpacked():
    file = archive(a=npy(plain_header("|u1", (10**6,)), bytes(10**6)), b=b"")
    assert len(file.getvalue()) < 5000
    for names in (["a"], ["b", "a"]):
        with pytest.raises(MemoryError):
            read_npz(file, names, 10**6)
    assert read_npz(file, ["a"], 10**6 + 200)["a"].size == 10**6


def test_a_directory_that_understates_a_size_does_not_help():
    content = npy(plain_header("|u1", (10**6,)), bytes(10**6))
    data = archive(a=content).getvalue()
    size = struct.pack("<I", len(content))
    assert data.count(size) == 2  # before the member and in the directory
    with pytest.raises(ValueError):
        read_npz(io.BytesIO(data.replace(size, struct.pack("<I", 9000))), ["a"])


@pytest.mark.parametrize(
    "content",
    [
        npy(plain_header("<f8", (10**15,)), bytes(8)),
        npy(plain_header("<f8", (-1, -1)), bytes(8)),
        npy(plain_header("<f8", (2**62, 4)), b""),
        npy(plain_header("<U0", (10**15,))),
        npy(plain_header("|O", (1,)), bytes(8)),
        npy(plain_header("<c8", (1,)), bytes(8)),
        npy(plain_header("|V8", (1,)), bytes(8)),
        npy(plain_header("(2,)f4", (1,)), bytes(8)),
        npy(plain_header([("a", "<f8")], (1,)), bytes(8)),
        npy(plain_header("|a8", (1,)), bytes(7)),
        npy(plain_header("<U1", (1,)), struct.pack("<I", 0x110000)),
        npy(plain_header(">U1", (1,)), struct.pack("<I", 0x10FFFF)),
        npy(plain_header("<f8", (1,)), bytes(8), version=b"\3\0"),
        npy(plain_header("<f8", (1,)), bytes(8), version=b"\7\0"),
        npy("{'descr': '\\d', (\n"),
        npy("'''"),
        npy("(" * 5000),
        npy("-" * 9000 + "1"),
        npy("__import__('os').mkdir('x')"),
        b"\x93NUMPY\1",
        b"",
    ],
)
def test_arrays_that_are_damaged_or_too_much_are_refused(content, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises((ValueError, MemoryError)) as caught:  # or too complex for Python's parser
        read_npz(archive(a=content), ["a"])
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_members_of_archives(tmp_path):
    path = tmp_path / "a.zip"
    path.write_bytes(archive(a=b"content").getvalue())
    assert read_member(path, "a.npy") == b"content"
    assert read_member(path, "b.npy") is None
    for broken in (b"", b"PK", path.read_bytes()[:-5]):
        path.write_bytes(broken)
        with pytest.raises(ValueError):
            read_member(path, "a.npy")


def test_archives_of_numbers_are_dense(tmp_path):
    path = tmp_path / "a.npz"
    for array, dense in (
        (np.random.default_rng(0).normal(size=1000), True),
        (np.zeros(1000), False),
    ):
        np.savez_compressed(path, array)
        assert is_dense(path) is dense
    path.write_bytes(b"PK")
    assert not is_dense(path)


def test_archives_are_known_by_their_first_bytes(tmp_path):
    for content, is_archive in ((archive(a=b"").getvalue(), True), (b"P", False), (b"", False)):
        (tmp_path / "file").write_bytes(content)
        assert is_zip(tmp_path / "file") is is_archive


def test_vectors_become_float32():
    for value in (
        [[1, 2], [3, 4]],
        np.array([[1, 2], [3, 4]], ">i8"),
        [np.array([1.0, 2]), (3, 4)],
    ):
        found = float_vectors(value)
        assert found.dtype == np.float32 and found.tolist() == [[1, 2], [3, 4]]
    assert float_vectors([1e300, np.nan]).tolist()[0] == np.inf


@pytest.mark.parametrize("value", [["1", "2"], [1j], [10**400], [[1], [2, 3]], {1: 2}, None])
def test_non_vectors_are_refused(value):
    with pytest.raises((TypeError, ValueError)):
        float_vectors(value)
