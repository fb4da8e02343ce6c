"""The restricted unpickler reads data of every age and refuses everything else."""

import collections
import os
import pickle
import subprocess

import numpy as np
import pytest

from unpickling import load_plain_pickle
from utils import UserError

CONTENT = {
    "embedding": np.linspace(0, 1, 12).reshape(3, 4),
    "big endian": np.arange(5, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "scalar": np.float64(0.25),
    "empty": b"",
    "ind2label": [1, "two", 3.0, None, True, (1, 2), {4}],
    "label2ind": collections.OrderedDict(a=0, b=1),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_data_of_every_protocol_is_read(tmp_path, protocol):
    path = tmp_path / "plain.pickle"
    path.write_bytes(pickle.dumps(CONTENT, protocol))
    content = load_plain_pickle(path)
    assert list(content) == list(CONTENT)
    for name in ("embedding", "big endian", "fortran", "scalar"):
        np.testing.assert_array_equal(content[name], CONTENT[name])
        # NumPy itself turns swapped bytes into native ones when it reads an old protocol.
        assert content[name].dtype.newbyteorder("=") == CONTENT[name].dtype.newbyteorder("=")
    for name in ("empty", "ind2label", "label2ind"):
        assert content[name] == CONTENT[name]


def python2_pickle() -> bytes:
    """What Python 2 with an old NumPy writes for {'data': np.array([[1, 200]], uint8)}."""
    return (
        b"\x80\x02}U\x04datacnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b"
        b"\x87R(K\x01K\x01K\x02\x86cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff"
        b"\xff\xffJ\xff\xff\xff\xffK\x00tb\x89U\x02\x01\xc8tbs."
    )


@pytest.mark.parametrize(("encoding", "key"), [("bytes", b"data"), ("latin1", "data")])
def test_files_of_python_2_are_read(tmp_path, encoding, key):
    path = tmp_path / "old.pickle"
    path.write_bytes(python2_pickle())
    content = load_plain_pickle(path, encoding=encoding)
    np.testing.assert_array_equal(content[key], np.array([[1, 200]], np.uint8))


class Call:
    """Pickles as a call of a function."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize(
    ("function", "arguments", "named"),
    [
        (os.system, ("touch {marker}",), "system"),
        (eval, ("open({marker!r}, 'w')",), "eval"),
        (subprocess.Popen, (["touch", "{marker}"],), "Popen"),
        (np.load, ("{marker}",), "load"),
        (getattr, (np, "load"), "getattr"),
    ],
)
@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_functions_are_refused_and_not_called(tmp_path, function, arguments, named, protocol):
    marker = tmp_path / "marker"
    arguments = [
        text.format(marker=str(marker)) if isinstance(text, str) and "{" in text else text
        for text in arguments
        if text is not np
    ]
    path = tmp_path / "evil.pickle"
    path.write_bytes(pickle.dumps({"data": Call(function, *arguments)}, protocol))
    with pytest.raises(UserError, match=rf"evil\.pickle is refused.*{named}") as caught:
        load_plain_pickle(path)
    assert "\n" not in str(caught.value)
    assert not marker.exists()


def test_dotted_names_do_not_reach_into_allowed_classes(tmp_path):
    path = tmp_path / "dotted.pickle"
    path.write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93.")
    with pytest.raises(UserError, match=r"refused.*ndarray\.dumps"):
        load_plain_pickle(path)


def test_object_arrays_are_refused(tmp_path):
    # A file could declare them plain bytes, which NumPy would then take for addresses.
    path = tmp_path / "objects.pickle"
    path.write_bytes(pickle.dumps(np.array([1, "a"], dtype=object)))
    with pytest.raises(UserError, match=r"refused.*Python objects"):
        load_plain_pickle(path)


def test_arrays_are_not_built_around_given_memory(tmp_path):
    path = tmp_path / "memory.pickle"
    path.write_bytes(pickle.dumps(Call(np.ndarray, (1,), "O", bytes(8))))
    with pytest.raises(UserError):
        load_plain_pickle(path)


def test_default_dicts_lose_their_factory(tmp_path):
    path = tmp_path / "factory.pickle"
    path.write_bytes(pickle.dumps(collections.defaultdict(list, a=[1])))
    with pytest.raises(UserError, match=r"refused.*list"):
        load_plain_pickle(path)
    path.write_bytes(pickle.dumps(collections.defaultdict(None, a=[1])))
    assert load_plain_pickle(path) == {"a": [1]}


@pytest.mark.parametrize("content", [b"", b"hello\nworld", pickle.dumps(CONTENT)[:-20]])
def test_damaged_files_give_one_line(tmp_path, content):
    path = tmp_path / "damaged.pickle"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged\.pickle is not a complete pickle") as caught:
        load_plain_pickle(path)
    assert "\n" not in str(caught.value)


def test_missing_files_give_one_line(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.pickle: No such file"):
        load_plain_pickle(tmp_path / "none.pickle")
