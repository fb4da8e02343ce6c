"""Kept images are the same bit by bit as images read anew, whatever happens to the files."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import get_dataset
from datasets.batches import Batches
from datasets.cache import choice, disk
from datasets.cache.choice import with_cache, with_normalization
from datasets.cache.disk import stored_images
from storage.locks import locked
from tests.datasets.reference import resize_shorter_side
from tests.fake_data import write_classes, write_cub, write_folder, write_image
from tests.permissions import folder_for_all, ordinary_user
from utils import UsageError, UserError

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path):
    root = write_cub(tmp_path / "cub")
    for i, path in enumerate(sorted((root / "images").glob("*/*.jpg"))):
        write_image(path, i, (40 + i, 61 - i))
    return root


def birds(root, **options):
    return get_dataset("CUB", root, **{"target_size": 32, "crop_size": 28, **options})


def epochs(dataset, count=2):
    """All batches of some epochs, for training and for testing."""
    preprocessing = dataset.preprocessing
    content = []
    for split, prepare in (
        (dataset.train, preprocessing.train),
        (dataset.test, preprocessing.test),
    ):
        batches = Batches(split, prepare, 5, seed=3, shuffle=True, workers=3)
        for epoch in range(count):
            batches.set_epoch(epoch)
            content += [batches[i][0] for i in range(len(batches))]
        batches.close()
    return content


def check_equal(first, second):
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("where", ["ram", "auto", "folder"])
@pytest.mark.parametrize("size", [32, (24, 40)])
def test_cached_equals_uncached_bit_by_bit(root, tmp_path, where, size):
    dataset = birds(root, target_size=size)
    plain = epochs(dataset)
    where = tmp_path / "new" / "cache" if where == "folder" else where
    cached = with_cache(dataset, where, 2)
    check_equal(epochs(cached), plain)
    assert cached.normalization == dataset.normalization
    for path in (root / "images").glob("*/*.jpg"):
        path.unlink()
    check_equal(epochs(cached), plain)  # nothing is read again


@pytest.mark.parametrize("where", ["ram", "folder"])
def test_subsets_are_kept(root, tmp_path, where):
    dataset = get_dataset("CUB-sub2", root, target_size=32, crop_size=28)
    dataset = dataset.restrict([3, 1])
    cached = with_cache(dataset, tmp_path / "cache" if where == "folder" else where)
    check_equal(epochs(cached), epochs(dataset))
    np.testing.assert_array_equal(cached.train.labels, dataset.train.labels)
    if where == "folder":
        (path,) = (tmp_path / "cache").glob("*train*.images")
        index = np.frombuffer(path.read_bytes()[: 4 * 5 * 8], "<i8").reshape(4, 5)
        assert set(index[:, 2]) == {3}  # two classes, two images each, three channels


def test_images_are_read_once(root, monkeypatch):
    read = []
    load = choice.FileImages.__getitem__
    monkeypatch.setattr(
        choice.FileImages, "__getitem__", lambda self, i: (read.append(i), load(self, i))[1]
    )
    dataset = with_cache(birds(root), "ram")
    for i in 2 * [*range(len(dataset.train))]:
        dataset.train[i]
    assert len(read) == len(dataset.train)


def test_kept_images_cannot_be_changed(root, tmp_path):
    for where in ("ram", tmp_path / "cache"):
        image = with_cache(birds(root), where).train[0]
        with pytest.raises(ValueError, match="read-only"):
            image[0] = 0


def test_off_and_arrays_change_nothing(root, caplog, tmp_path):
    dataset = birds(root)
    assert with_cache(dataset, "off") is dataset
    digits = get_dataset("Digits")
    assert with_cache(digits, "auto") is digits
    with caplog.at_level("INFO"):
        assert with_cache(digits, tmp_path / "cache") is digits
    assert "in memory anyway" in caplog.text
    assert not (tmp_path / "cache").exists()


def test_memory_decides(root, monkeypatch, caplog):
    dataset = birds(root)
    needed = sum(
        np.prod(resize_shorter_side(image, 32).shape)
        for split in (dataset.train, dataset.test)
        for image in (split[i] for i in range(len(split)))
    )
    caplog.set_level("INFO")
    for available, where, expected in (
        (2.01 * needed, "auto", "Keeping decoded images in memory"),
        (1.99 * needed, "auto", "Not keeping decoded images"),
        (1.01 * needed, "ram", "Keeping decoded images in memory"),
    ):
        caplog.clear()
        monkeypatch.setattr(choice, "available_memory", lambda available=available: available)
        with_cache(dataset, where)
        assert expected in caplog.text
    monkeypatch.setattr(choice, "available_memory", lambda: 0.99 * needed)
    with pytest.raises(UsageError, match="--cache ram"):
        with_cache(dataset, "ram")


def test_measured_statistics_are_those_of_the_whole_images_and_are_stored(tmp_path, monkeypatch):
    root = write_classes(tmp_path / "data")
    dataset = get_dataset("Folder", root, target_size=8)
    images = [dataset.train[i] for i in range(len(dataset.train))]
    mean = np.mean([image.mean((0, 1)) for image in images], axis=0)
    squares = np.sum([((image - mean) ** 2).mean((0, 1)) for image in images], axis=0)
    for where in ("ram", tmp_path / "cache"):
        fresh = get_dataset("Folder", root, target_size=8)
        measured = with_normalization(fresh, where).normalization
        np.testing.assert_allclose(measured.mean, mean, rtol=1e-12)
        np.testing.assert_allclose(measured.std, np.sqrt(squares / (len(images) - 1)))
    again = get_dataset("Folder", root, target_size=8)
    monkeypatch.setattr("datasets.images.dataset.measure", None)
    assert with_normalization(again, tmp_path / "cache").normalization == measured
    (path,) = (tmp_path / "cache").glob("*.normalization.json")
    path.write_text('{"mean": [1], "std": [0]}')
    monkeypatch.undo()
    assert with_normalization(again, tmp_path / "cache").normalization == measured
    assert json.loads(path.read_text())["mean"] == list(measured.mean)


def files(folder):
    return sorted(folder.glob("[!.]*.images"))


def test_another_run_uses_the_files_and_changed_images_are_read_anew(root, tmp_path):
    folder = tmp_path / "cache"
    with_cache(birds(root), folder)
    before = {path: path.stat().st_mtime_ns for path in files(folder)}
    assert len(before) == 2
    with_cache(birds(root), folder)
    assert {path: path.stat().st_mtime_ns for path in files(folder)} == before
    changed = root / birds(root).train.names[0]
    write_image(changed, 99, (50, 50))
    check_equal(epochs(with_cache(birds(root), folder)), epochs(birds(root)))
    assert len(files(folder)) == 3
    with_cache(birds(root, target_size=30), folder)
    assert len(files(folder)) == 5


@pytest.mark.parametrize("library", ["PIL", "simplejpeg"])
def test_another_version_of_a_library_makes_new_files(root, tmp_path, monkeypatch, library):
    with_cache(birds(root), tmp_path / "cache")
    monkeypatch.setattr(getattr(disk, library), "__version__", "0.1")
    with_cache(birds(root), tmp_path / "cache")
    assert len(files(tmp_path / "cache")) == 4


def damage(path, how):
    content = path.read_bytes()
    return {
        "empty": b"",
        "cut": content[:-1],
        "longer": content + b"x",
        "part of the index": content[:72],
        "foreign": os.urandom(len(content)),
        "index": content[:8] + os.urandom(8) + content[16:],
        "huge": content[:8] + b"\xff" * 7 + b"\x7f" + content[16:],
    }[how]


@pytest.mark.parametrize(
    "how", ["empty", "cut", "longer", "part of the index", "foreign", "index", "huge"]
)
def test_damaged_files_are_made_again(root, tmp_path, caplog, how):
    dataset, folder = birds(root), tmp_path / "cache"
    with_cache(dataset, folder)
    for path in files(folder):
        path.write_bytes(damage(path, how))
    check_equal(epochs(with_cache(dataset, folder)), epochs(dataset))
    written_again = [record for record in caplog.records if "is written again" in record.message]
    assert sorted(record.message.split()[0] for record in written_again) == [
        *map(str, files(folder))
    ]


@pytest.mark.parametrize("damage", [b"no image", None])
def test_test_images_that_are_evaluated_once_are_not_kept_and_bar_no_training(tmp_path, damage):
    write_folder(tmp_path / "data", train=6, test=2)
    image = next((tmp_path / "data/test").glob("*/*.png"))
    image.unlink()
    image.write_bytes(damage) if damage else image.symlink_to("nowhere")
    options = {"val_fraction": 0.5, "target_size": 32, "crop_size": 28}
    dataset = get_dataset("Folder", tmp_path / "data", **options)
    kept = with_cache(with_normalization(dataset, "off"), tmp_path / "cache")
    (path,) = files(tmp_path / "cache")
    assert "-train-" in path.name and kept.test.samples is dataset.test.samples
    assert kept.train.samples is kept.validation.samples and len(kept.validation[0]) == 32
    with pytest.raises(UserError, match=image.name):
        kept.test[dataset.test.names.index(str(image.relative_to(tmp_path / "data")))]


def test_damaged_pixels_are_refused(root, tmp_path):
    folder = tmp_path / "cache"
    with_cache(birds(root), folder)
    for path in files(folder):
        content = bytearray(path.read_bytes())
        content[-1] ^= 1
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"is damaged; delete it"):
        epochs(with_cache(birds(root), folder))


def test_a_damaged_image_leaves_no_file(root, tmp_path):
    dataset = birds(root)
    (root / dataset.train.names[3]).write_bytes(b"nothing")
    with pytest.raises(UserError, match=Path(dataset.train.names[3]).stem):
        with_cache(dataset, tmp_path / "cache")
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".lock"]


def test_a_full_disk_is_one_clear_error(root, tmp_path, monkeypatch):
    usage = disk.shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(disk.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match=r"cannot write .*: it needs about .* GB are free"):
        with_cache(birds(root), tmp_path / "cache")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_disk_that_fills_up_leaves_nothing(root, tmp_path, monkeypatch):
    def on_full_disk(path, mode):
        return Path("/dev/full").open(mode)

    monkeypatch.setattr(disk, "open", on_full_disk, raising=False)
    with pytest.raises(UserError, match=r"cannot write .*No space left"):
        with_cache(birds(root), tmp_path / "cache")
    assert not files(tmp_path / "cache")


def refuse():
    raise UserError("held")


def test_the_lock_of_another_user_serves_if_it_can_be_read():
    with folder_for_all() as folder:
        paths = [folder / "0.txt"]
        paths[0].touch()
        arguments = (
            folder,
            "any",
            [np.ones((2, 2, 3), np.uint8)],
            paths,
            np.array([0]),
            lambda: 1,
            1,
        )
        stored_images(*arguments)
        (lock,) = folder.glob("*.lock")
        lock.chmod(0o444)
        lock.with_suffix(".images").unlink()
        with ordinary_user():
            assert stored_images(*arguments)[0].sum() == 12
            with locked(lock, pytest.fail) as held:
                assert held.locked
                with pytest.raises(UserError, match="held"), locked(lock, refuse):
                    pass
        lock.chmod(0)
        lock.with_suffix(".images").unlink()
        denied = r"cannot open .*\.lock: Permission denied"
        with ordinary_user(), pytest.raises(UserError, match=denied):
            stored_images(*arguments)


def test_a_file_in_place_of_the_folder_is_refused(root, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--cache"):
        with_cache(birds(root), tmp_path / "file")


# In another process: fills a folder with numbered images, slowly, and says what it read.
WRITER = """
import sys, time
from pathlib import Path
import numpy as np
from datasets.cache.disk import stored_images

class Slow:
    def __len__(self):
        return 5
    def __getitem__(self, index):
        print("read", index, flush=True)
        time.sleep(float(sys.argv[2]))
        return np.full((4, 3, 1), index, np.uint8)

folder = Path(sys.argv[1])
paths = [folder.parent / f"{i}.txt" for i in range(5)]
images = stored_images(folder, "slow", Slow(), paths, np.arange(5), lambda: 60, 1)
print("sum", sum(int(images[i].sum()) for i in range(5)), flush=True)
"""


def start_writer(folder, seconds):
    for i in range(5):
        path = folder.parent / f"{i}.txt"
        path.exists() or path.touch()  # touching it again would make it another file
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(seconds)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_runs_at_once_share_what_one_of_them_writes(tmp_path):
    writers = [start_writer(tmp_path / "cache", 0.2) for _ in range(2)]
    texts = [writer.communicate(timeout=60) for writer in writers]
    assert all(writer.returncode == 0 for writer in writers), texts
    assert sum(out.count("read") for out, _ in texts) == 5
    assert all(f"sum {12 * (0 + 1 + 2 + 3 + 4)}\n" in out for out, _ in texts)
    assert len(files(tmp_path / "cache")) == 1


def test_a_killed_run_leaves_nothing_half_written(tmp_path):
    folder = tmp_path / "cache"
    first = start_writer(folder, 0.5)
    for line in first.stdout:
        if "read 2" in line:
            first.send_signal(signal.SIGKILL)
            break
    first.communicate()
    assert not files(folder)
    assert list(folder.glob(".*.partial/*.images"))  # what it had written so far
    second = start_writer(folder, 0)
    out, err = second.communicate(timeout=60)
    assert second.returncode == 0, err
    assert out.count("read") == 5
    assert len(files(folder)) == 1
    assert not list(folder.glob(".*.images"))


def test_stored_images_may_have_different_sizes(tmp_path):
    shapes = [(3, 5, 3), (7, 2, 3), (1, 1, 3), (4, 4, 3)]
    images = [
        np.random.default_rng(i).integers(0, 256, shape, dtype=np.uint8)
        for i, shape in enumerate(shapes)
    ]
    paths = [tmp_path / f"{i}.txt" for i in range(4)]
    for path in paths:
        path.touch()
    for _ in range(2):
        stored = stored_images(tmp_path, "any", images, paths, np.array([0, 1, 3]), lambda: 1, 2)
        assert len(stored) == 4
        for i in (0, 1, 3):
            np.testing.assert_array_equal(stored[i], images[i])


def test_a_long_and_narrow_image_is_kept_too(tmp_path):
    path = tmp_path / "line.png"
    Image.fromarray(np.arange(9000).astype(np.uint8).reshape(1, 3000, 3)).save(path)
    images = choice.ResizedImages(choice.FileImages([path]), 22)  # 66,000 pixels wide
    for _ in range(2):
        stored = stored_images(tmp_path, "any", images, [path], np.array([0]), lambda: 1, 1)
        np.testing.assert_array_equal(stored[0], images[0])


def test_one_gigantic_image_among_many_is_counted(tmp_path, monkeypatch, caplog):
    """By the sizes in all headers: a sample would miss it, and the memory would be exhausted."""
    paths = [tmp_path / f"{i}.png" for i in range(220)]
    for path in paths:
        path.hardlink_to(paths[0]) if path != paths[0] else Image.new("RGB", (60, 45)).save(path)
    paths[101].unlink()
    Image.new("RGB", (16000, 1)).save(paths[101])
    selection = choice._Selection(choice.FileImages(paths), np.arange(220), 45)
    exact = 219 * 45 * 60 * 3 + 45 * (45 * 16000) * 3
    assert sum(selection.sizes()) == exact
    monkeypatch.setattr(choice, "available_memory", lambda: exact)
    caplog.set_level("INFO")
    assert choice._fit([selection], "ram")
    assert "about 99 MB" in caplog.text
    monkeypatch.setattr(choice, "available_memory", lambda: exact - 1)
    with pytest.raises(UsageError, match=r"--cache ram: .* more than the 0\.1 GB"):
        choice._fit([selection], "ram")
    assert not choice._fit([selection], "auto")
    assert "need more than half of the 0.1 GB" in caplog.text


def test_images_that_do_not_fit_are_not_all_looked_at(tmp_path, monkeypatch):
    looked_at = []
    monkeypatch.setattr(
        choice, "image_size", lambda path, _: (looked_at.append(path), (100, 100))[1]
    )
    monkeypatch.setattr(choice, "available_memory", lambda: 10 * 100 * 100 * 3)
    selection = choice._Selection(choice.FileImages(range(1000)), np.arange(1000), None)
    assert not choice._fit([selection], "auto")
    assert len(looked_at) == 6


def swapped(first, second):
    """Exchange the names of two files."""
    other = first.with_suffix(".other")
    first.rename(other)
    second.rename(first)
    other.rename(second)


def overwritten(first, second):
    """Exchange the content of two files of one size and keep their times."""
    contents = first.read_bytes(), second.read_bytes()
    for path, content in zip((second, first), contents, strict=True):
        times = path.stat()
        path.write_bytes(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("exchange", [swapped, overwritten])
def test_other_content_of_the_same_size_and_time_is_noticed(tmp_path, exchange):
    root = write_classes(tmp_path / "data", images=6)
    paths = sorted(root.rglob("*.png"))
    for i, path in enumerate(paths):
        path.unlink()
        path = path.with_suffix(".bmp")
        write_image(path, i, (20, 20))
        os.utime(path, ns=(10**18, 10**18))
    dataset = get_dataset("Folder", root, target_size=16, crop_size=14)
    with_cache(dataset, tmp_path / "cache")
    first, second = (root / dataset.train.names[i] for i in (0, -1))
    assert first.stat().st_size == second.stat().st_size
    before = dataset.train[0].copy()
    exchange(first, second)
    assert first.stat().st_mtime_ns == 10**18
    cached = with_cache(dataset, tmp_path / "cache").train[0]
    plain = with_cache(dataset, "ram").train[0]
    np.testing.assert_array_equal(cached, plain)
    assert not np.array_equal(plain, choice.ResizedImages([before], 16)[0])


def test_files_that_others_can_write_to_are_made_again(root, tmp_path, caplog):
    folder, dataset = tmp_path / "cache", birds(root)
    with_cache(dataset, folder)
    planted = files(folder)[0]
    content = bytearray(planted.read_bytes())
    for mode in (0o664, 0o646):
        planted.write_bytes(content)
        planted.chmod(mode)
        caplog.clear()
        check_equal(epochs(with_cache(dataset, folder)), epochs(dataset))
        assert "others can write to it" in caplog.text
        assert planted.stat().st_mode & 0o777 == 0o644


def test_files_of_another_user_are_made_again(root):
    with folder_for_all() as folder:
        (folder / "0.txt").touch()
        arguments = (np.array([0]), lambda: 1, 1)
        for value in (7, 3):
            image = np.full((2, 2, 3), value, np.uint8)
            stored = stored_images(folder, "any", [image], [folder / "0.txt"], *arguments)
            assert stored[0][0, 0, 0] == value
            (path,) = folder.glob("*.images")
            os.chown(path, 54321, -1)


def test_a_planted_normalization_is_measured_again(tmp_path):
    root, folder = write_classes(tmp_path / "data"), tmp_path / "cache"
    measured = with_normalization(get_dataset("Folder", root), folder).normalization
    (path,) = folder.glob("*.normalization.json")
    path.write_text('{"mean": [1, 2, 3], "std": [1, 2, 3]}')
    path.chmod(0o666)
    assert with_normalization(get_dataset("Folder", root), folder).normalization == measured
    assert path.stat().st_mode & 0o777 == 0o644


def test_the_umask_of_a_group_does_not_matter(root, tmp_path, caplog):
    before = os.umask(0o002)
    try:
        with_cache(birds(root), tmp_path / "cache")
        with_cache(birds(root), tmp_path / "cache")
    finally:
        os.umask(before)
    assert "written again" not in caplog.text
    assert {path.stat().st_mode & 0o777 for path in files(tmp_path / "cache")} == {0o644}


@pytest.mark.parametrize("length", [0, 1000, -1])
def test_cutting_a_file_that_is_in_use_is_one_clear_error(root, tmp_path, length):
    dataset = with_cache(birds(root), tmp_path / "cache")
    for path in files(tmp_path / "cache"):
        os.truncate(path, length if length >= 0 else path.stat().st_size - 1)
    with pytest.raises(UserError, match="is damaged; delete it"):
        epochs(dataset)
