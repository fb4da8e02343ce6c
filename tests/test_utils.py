"""Registries, random generators and lists of lines."""

import zlib

import numpy as np
import pytest

from utils import (
    Registry,
    UsageError,
    UserError,
    generator,
    generators,
    list_folder,
    printable,
    read_lines,
    repeated,
)


@pytest.fixture
def registry():
    registry = Registry("animal")

    @registry.register("Cat", "Tomcat")
    def cat():
        return "miaow"

    @registry.register("Dog")
    def dog():
        return "woof"

    return registry


def test_names_are_found_in_any_case_and_listed_as_registered(registry):
    assert registry.get("cAT")() == "miaow"
    assert registry.get("tomcat") is registry.get("Cat")
    assert registry.names() == ["Cat", "Tomcat", "Dog"]
    assert "DOG" in registry and "cow" not in registry


def test_unknown_names_are_reported_with_the_known_ones(registry):
    with pytest.raises(UsageError, match="unknown animal 'cow'; choose from: Cat, Tomcat, Dog"):
        registry.get("cow")


def test_a_name_is_registered_once_whatever_its_case(registry):
    with pytest.raises(ValueError, match="animal 'DOG' is registered twice"):
        registry.register("DOG")(print)


def draw(*arguments):
    return tuple(generator(*arguments).integers(0, 2**62, 4).tolist())


def test_generators_depend_on_their_arguments_only():
    first = draw("order", 1, 2)
    np.random.default_rng(9).random(5)
    assert draw("order", 1, 2) == first


def test_generators_of_other_purposes_and_numbers_draw_other_values():
    arguments = [(p, s, e) for p in ("order", "augmentation") for s in range(3) for e in range(3)]
    assert len({draw(*a) for a in arguments}) == len(arguments)


def test_purposes_keep_streams_apart_that_differ_by_trailing_zeros():
    assert draw("subset", 1, 2) != draw("test split", 1, 2, 0)


LARGEST = 2**64 - 1


def values(rng):
    """Draws that leave words of the generator's buffer unused."""
    return [*rng.integers(0, 2**62, 3).tolist(), rng.random(), int(rng.integers(9, dtype=np.uint8))]


@pytest.mark.parametrize("numbers", [(), (0,), (7, 371), (2**40, 5)])
def test_each_position_has_the_stream_of_its_own_counter(numbers):
    entropy = [zlib.crc32(b"purpose"), *numbers]
    key = np.random.SeedSequence(entropy).generate_state(2, np.uint64)
    positions = [5, 0, LARGEST, 1, 5]
    drawn = [values(rng) for rng in generators("purpose", *numbers, positions=positions)]
    for position, found in zip(positions, drawn, strict=True):
        philox = np.random.Philox(counter=np.array([0, 0, 0, position], np.uint64), key=key)
        assert found == values(np.random.Generator(philox))
    assert len({tuple(found) for found in drawn}) == 4


def test_streams_of_positions_do_not_depend_on_their_company():
    def draws(positions):
        each = generators("augmentation", 3, 17, positions=positions)
        return {p: values(rng) for p, rng in zip(positions, each, strict=True)}

    order = np.random.default_rng(0).permutation(300)
    whole = draws(order)
    for size in (1, 7, 100):
        parts = [draws(order[i : i + size]) for i in range(0, 300, size)]
        assert {p: found for part in parts for p, found in part.items()} == whole
    assert len({tuple(found) for found in whole.values()}) == 300


def test_streams_of_positions_depend_on_purpose_and_numbers():
    arguments = [(p, s, e) for p in ("order", "augmentation") for s in range(3) for e in range(3)]
    each = [next(generators(*a, positions=[1])).random() for a in arguments]
    assert len(set(each)) == len(arguments)


def test_streams_of_positions_stay():
    """Other values here mean other augmentation in every run with the same seed."""
    each = generators("augmentation", 0, 0, positions=[0, 1])
    assert [round(rng.random(), 12) for rng in each] == [0.861250854709, 0.734144868618]


def test_lines_are_stripped_and_empty_ones_left_out(tmp_path):
    path = tmp_path / "lines.txt"
    path.write_bytes("\ufeffone\r\n\r\n  zwölf words \n\t\nlast".encode())
    assert read_lines(path) == ["one", "zwölf words", "last"]


@pytest.mark.parametrize(
    ("content", "fault"),
    [(None, "cannot read .*lines.txt: No such file"), (b"\xff\xfe\x00", "is not a text file")],
)
def test_unreadable_lines_give_a_one_line_error(tmp_path, content, fault):
    path = tmp_path / "lines.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=fault) as caught:
        read_lines(path)
    assert "\n" not in str(caught.value) and caught.value.status == 1


def test_lines_of_a_folder_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_lines(tmp_path)


def test_control_characters_are_escaped():
    assert printable("Möwe \u8349\u200d") == "Möwe \u8349\u200d"
    assert printable("a\u202egnp.exe\u200b\n\x00\udcff") == r"a\u202egnp.exe\u200b\n\x00\udcff"


@pytest.mark.parametrize("name", ["missing", "with\0NUL", "file"])
def test_unlistable_folders_give_a_one_line_error(tmp_path, name):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot read the folder .*: \w+") as caught:
        list_folder(tmp_path / name)
    assert len(str(caught.value).splitlines()) == 1


def test_repeated_names_are_listed_once():
    assert repeated("abcbab") == ["a", "b"]
    assert repeated("abc") == repeated([]) == []
