"""The restricted unpickler reads data of every age and refuses everything else."""

import collections
import os
import pickle
import subprocess

import numpy as np
import pytest

from storage.pickles import load_plain_pickle
from utils import UserError

CONTENT = {
    "embedding": np.linspace(0, 1, 12).reshape(3, 4),
    "big endian": np.arange(5, dtype=">i4"),
    "fortran": np.asfortranarray(np.arange(6).reshape(2, 3)),
    "text": np.array(["ü", "long"]),
    "bytes": np.array([b"a", b"bc"]),
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
    for name in ("embedding", "big endian", "fortran", "text", "bytes", "scalar"):
        np.testing.assert_array_equal(content[name], CONTENT[name])
        # NumPy itself turns swapped bytes into native ones when it reads an old protocol.
        assert content[name].dtype.newbyteorder("=") == CONTENT[name].dtype.newbyteorder("=")
    for name in ("empty", "ind2label", "label2ind"):
        assert content[name] == CONTENT[name]


def python2_pickle() -> bytes:
    """Pickle of {'data': np.array([[1, 200]], uint8)} by Python 2 with an old NumPy."""
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


class State:
    """Pickles as a call whose result is given a state."""

    def __init__(self, call, state):
        self.reduced = *call, state

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize(
    "state",
    [
        (3, "<", None, None, None, -1, -1, 1),  # its bytes would be addresses
        (3, "<", None, None, None, -1, -1, 0x3F),
        (3, "<", None, None, None, 10**6, -1, 0),
        (3, "<", None, None, None, -1, 0, 0),
        (3, "<", None, ("a",), {"a": (1, 2)}, -1, -1, 0),
        (3, "<", ("O", (2,)), None, None, -1, -1, 0),
        (4, "<", None, None, None, -1, -1, 0, {}),
    ],
)
@pytest.mark.parametrize("copied", [False, True])
def test_the_state_of_a_type_is_its_byte_order(tmp_path, state, copied):
    path = tmp_path / "state.pickle"
    kind = State((np.dtype, ("f8", False, copied)), state)
    empty = (np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"))
    path.write_bytes(pickle.dumps(State(empty, (1, (2,), kind, False, bytes(16)))))
    found = load_plain_pickle(path)
    assert found.dtype == np.dtype("<f8") and found.tolist() == [0, 0]
    assert np.dtype("f8").isnative and np.dtype("f8").flags == 0


@pytest.mark.parametrize("state", [(3,), (3, "x"), 5])
def test_other_states_of_a_type_are_refused(tmp_path, state):
    path = tmp_path / "state.pickle"
    path.write_bytes(pickle.dumps(State((np.dtype, ("f8",)), state)))
    with pytest.raises(UserError, match=r"state\.pickle"):
        load_plain_pickle(path)


@pytest.mark.parametrize(
    "state",
    [
        (1, (1,), np.dtype("O"), False, [1]),
        (1, (1,), "f8", False, bytes(8)),
        (1, (2,), np.dtype("f8"), False, bytes(8)),
        (1, (10**12,), np.dtype("U0"), False, b""),
        (1, (1,), np.dtype("f8"), False, [1.0]),
        (1, (1,)),
        5,
    ],
)
def test_other_states_of_an_array_are_refused(tmp_path, state):
    path = tmp_path / "state.pickle"
    empty = (np._core.multiarray._reconstruct, (np.ndarray, (0,), b"b"))
    path.write_bytes(pickle.dumps(State(empty, state)))
    with pytest.raises(UserError, match=r"state\.pickle"):
        load_plain_pickle(path)


@pytest.mark.parametrize("target", [collections.OrderedDict, set, frozenset, np.float64])
def test_nothing_else_has_a_state(tmp_path, target):
    path = tmp_path / "state.pickle"
    path.write_bytes(pickle.dumps(State((target, ()), {"items": 1})))
    with pytest.raises(UserError, match=r"state\.pickle"):
        load_plain_pickle(path)


@pytest.mark.parametrize("protocol", [0, 2, 5])
@pytest.mark.parametrize("value", [np.array(["ab", "c"]), np.str_("ab")])
def test_text_that_is_damaged_is_refused(tmp_path, protocol, value):
    path = tmp_path / "text.pickle"
    path.write_bytes(pickle.dumps(value, protocol))
    assert np.array_equal(load_plain_pickle(path), value)
    whole = path.read_bytes()
    texts = {b"a\0\0\0": b"a\0w\0", b"a\\u0000\\u0000": b"a\\u0000w"}  # protocol 0 has escapes
    damaged = whole
    for text, replacement in texts.items():
        damaged = damaged.replace(text, replacement)
    assert damaged != whole
    path.write_bytes(damaged)
    with pytest.raises(UserError, match="its text is damaged"):
        load_plain_pickle(path)


@pytest.mark.parametrize("size", [2**34, 2**62, 2**64 - 1])
@pytest.mark.parametrize("code", [b"\x96", b"\x8e", b"\x8d"])
def test_sizes_that_the_file_does_not_have_cost_nothing(tmp_path, size, code):
    path = tmp_path / "size.pickle"
    content = code + size.to_bytes(8, "little") + b"abc."
    frame = b"\x95" + len(content).to_bytes(8, "little")
    for start in (b"\x80\x05", b"\x80\x05" + frame):
        path.write_bytes(start + content)
        with pytest.raises(UserError, match="not a complete pickle"):
            load_plain_pickle(path)


def test_functions_cannot_be_changed(tmp_path):
    path = tmp_path / "function.pickle"
    for state in (b"N}U\x08functionNs\x86", b"N}U\x0c__defaults__)s\x86", b"}U\x01aNs"):
        path.write_bytes(b"\x80\x02c_codecs\nencode\n" + state + b"b.")
        with pytest.raises(UserError, match=r"function\.pickle is not a complete pickle"):
            load_plain_pickle(path)


@pytest.mark.parametrize(
    "dtype", [np.dtype([("a", "f8")]), np.dtype("M8[s]"), np.dtype("V8"), np.dtype("(2,)f8")]
)
def test_types_that_are_neither_numbers_nor_text_are_refused(tmp_path, dtype):
    path = tmp_path / "type.pickle"
    path.write_bytes(pickle.dumps(dtype))
    with pytest.raises(UserError, match=r"type\.pickle"):
        load_plain_pickle(path)


def test_arrays_do_not_share_the_memory_of_others(tmp_path):
    path = tmp_path / "shared.pickle"
    content = Call(np._core.numeric._frombuffer, np.zeros(4), np.dtype("f8"), (4,), "C")
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match="an array"):
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
def test_damaged_files_give_a_one_line_error(tmp_path, content):
    path = tmp_path / "damaged.pickle"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged\.pickle is not a complete pickle") as caught:
        load_plain_pickle(path)
    assert "\n" not in str(caught.value)


def test_missing_files_give_a_one_line_error(tmp_path):
    with pytest.raises(UserError, match=r"cannot read .*none\.pickle: No such file"):
        load_plain_pickle(tmp_path / "none.pickle")
