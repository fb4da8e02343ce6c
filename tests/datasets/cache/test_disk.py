"""Files of the cache: reuse, damage, concurrent runs, permissions."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import get_dataset
from datasets.cache import choice, disk
from datasets.cache.choice import with_cache
from datasets.cache.disk import stored_images
from storage.locks import locked
from tests.datasets.cache.birds import birds, check_equal, epochs, files
from tests.fake_data import write_classes, write_image
from tests.permissions import folder_for_all, ordinary_user
from utils import UsageError, UserError

REPOSITORY = Path(__file__).parents[3]


def test_later_runs_reuse_files_and_reread_changed_images(root, tmp_path):
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


def test_a_full_disk_gives_one_clear_error(root, tmp_path, monkeypatch):
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


def test_concurrent_runs_share_one_file(tmp_path):
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
def test_other_content_of_the_same_size_and_time_is_detected(tmp_path, exchange):
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
def test_truncating_a_mapped_file_gives_one_clear_error(root, tmp_path, length):
    dataset = with_cache(birds(root), tmp_path / "cache")
    for path in files(tmp_path / "cache"):
        os.truncate(path, length if length >= 0 else path.stat().st_size - 1)
    with pytest.raises(UserError, match="is damaged; delete it"):
        epochs(dataset)
