"""Every data set, read from small copies of the real layout."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from datasets import dataset_names, get_dataset
from datasets.base import DATASETS
from datasets.images.dataset import measured_normalization, published_input
from datasets.images.normalization import Normalization
from datasets.names import DatasetName, parse_name
from tests.fake_data import WRITERS, write_cub, write_folder
from utils import UsageError, UserError

REPOSITORY = Path(__file__).parents[2]
SHARED = REPOSITORY.parent / "shared"
SUFFIXES = ("", "-large", "-ilsvrcmean", "-caffe", "-sub2", "-SUB2-Caffe")
ERASED = ("CUB", "NAB", "Cars", "Flowers", "MIT67Scenes", "Folder", "ORL")
FILES = (
    *(*ERASED, "ILSVRC", "iNat", "iNat2018", "iNat2019", "Tiny-ImageNet", "Faces"),
    *("VIPriors", "GEM-CUB", "GEM-CLaMM", "GEM-EuroSAT", "GEM-ISIC"),
)
NOT_RGB = ("GEM-EuroSAT", "Digits", "ORL", "MNIST", "Fashion-MNIST", "GEM-CLaMM")

# Training size, test size, crop; mean and standard deviation; from the published implementation.
SIZES = {
    "CUB": (512, 512, 448),
    "NAB": ((256, 480), 256, 224),
    "Cars": (512, 512, 448),
    "Flowers": (512, 512, 448),
    "MIT67Scenes": (256, 256, 224),
    "Folder": (256, 256, 224),
    "CIFAR-10": (None, None, None),
    "CIFAR-100": (None, None, None),
    "CIFAR-100-a": (None, None, None),
    "CIFAR-100-b": (None, None, None),
    "CIFAR-100-b-consec": (None, None, None),
    "ILSVRC": ((256, 480), 256, 224),
    "iNat": ((256, 480), 256, 224),
    "iNat2018": ((256, 480), 256, 224),
    "iNat2019": ((256, 480), 256, 224),
    "Digits": (None, None, None),
    "ORL": (92, 92, 80),
    "MNIST": (None, None, None),
    "Fashion-MNIST": (None, None, None),
    "SVHN": (None, None, None),
    "Tiny-ImageNet": (64, 64, 64),
    "Faces": (112, 112, 112),
    "VIPriors": ((256, 480), 256, 224),
    "GEM-CUB": (256, 224, 224),
    "GEM-CLaMM": (256, 224, 224),
    "GEM-EuroSAT": (64, 64, 64),
    "GEM-ISIC": (256, 224, 224),
    "GEM-CIFAR-10": (None, None, 32),
}
STATISTICS = {
    "CUB": ([123.82988033, 127.35116805, 110.25606303], [59.2230949, 58.0736071, 67.80251684]),
    "NAB": ([125.30513277, 129.66606421, 118.45121113], [57.0045467, 56.70059436, 68.44430446]),
    "Cars": ([120.03730636, 117.33780928, 116.0130335], [75.40415763, 75.15394251, 77.28286728]),
    "Flowers": ([110.7799141, 97.65648664, 75.32889973], [74.90387818, 62.70218863, 69.7656359]),
    "MIT67Scenes": (
        [124.62788179, 110.01028625, 94.95780545],
        [68.56923599, 66.86607736, 67.35944349],
    ),
}
ILSVRC = ([122.65435242, 116.6545058, 103.99789959], [71.40583196, 69.56888997, 73.0440314])


@pytest.fixture(scope="module")
def roots(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    return {name: writer(folder / name) for name, writer in WRITERS.items()}


def test_all_data_sets_are_registered():
    assert set(dataset_names()) == {*SIZES, "AG-News"}  # of images; of documents
    assert set(WRITERS) == set(SIZES) - {"Digits"}


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("name", sorted(SIZES))
def test_every_data_set_with_every_suffix(name, suffix, roots):
    fits = not ("large" in suffix and name not in FILES)
    fits &= not (("mean" in suffix or "affe" in suffix) and name in NOT_RGB)
    if not fits:
        with pytest.raises(UsageError, match=name):
            get_dataset(name + suffix, roots.get(name))
        return
    dataset = get_dataset(name + suffix, roots.get(name))
    assert dataset.name == name + suffix
    for split in (dataset.train, dataset.test):
        assert len(split) == len(split.labels) == len(split.names) > 0
        assert split.labels.dtype == np.int64
        assert set(split.labels.tolist()) == set(range(dataset.num_classes))
        image = split[len(split) - 1]
        assert image.dtype == (np.uint16 if name == "GEM-EuroSAT" else np.uint8)
        assert image.shape[2] == dataset.channels
    assert list(dataset.labels) == sorted(dataset.labels)
    assert len(dataset.class_names) == len(dataset.labels)
    if dataset.normalization is None:
        with pytest.raises(ValueError, match="not been measured"):
            _ = dataset.input_options
    dataset = replace(dataset, normalization=measured_normalization(dataset))
    options = dataset.input_options
    assert len(options["mean"]) == len(options["std"]) == options["channels"] == dataset.channels
    rng = np.random.default_rng(0)
    trained = dataset.preprocessing.train(dataset.train[0], rng)
    tested = dataset.preprocessing.test(dataset.test[0])
    assert trained.shape == tested.shape == dataset.input_shape
    if "ub2" in suffix.lower():
        per_class = np.bincount(dataset.train.labels)
        np.testing.assert_array_equal(per_class, 2)


@pytest.mark.parametrize("name", sorted(SIZES))
def test_sizes_are_the_published_ones(name, roots):
    settings = get_dataset(name, roots.get(name)).preprocessing
    assert (settings.train_size, settings.test_size, settings.crop_size) == SIZES[name]
    assert settings.erasing == (0.5 if name in ERASED else 0)
    assert settings.flip == (0 if name in ("Digits", "MNIST", "SVHN", "GEM-CLaMM") else 0.5)
    assert settings.vflip == (0.5 if name in ("GEM-EuroSAT", "GEM-ISIC") else 0)
    assert settings.pad == {"GEM-EuroSAT": 8, "GEM-CIFAR-10": 4}.get(name, 0)
    shifted = name == "Tiny-ImageNet" or name not in (*FILES, "GEM-CIFAR-10")
    assert settings.shift == (0.15 if shifted else 0)
    assert settings.zoom == ((0.75, 1.25) if name == "CIFAR-10" else None)


@pytest.mark.parametrize("name", FILES)
def test_large_is_512_and_448(name, roots):
    settings = get_dataset(name + "-large", roots[name]).preprocessing
    assert (settings.train_size, settings.test_size, settings.crop_size) == (512, 512, 448)


@pytest.mark.parametrize("name", sorted(STATISTICS))
def test_mean_and_std_are_the_published_ones(name, roots):
    def normalization(suffix=""):
        return get_dataset(name + suffix, roots[name]).normalization

    mean, std = STATISTICS[name]
    assert normalization() == Normalization(tuple(mean), tuple(std))
    assert normalization("-large") == normalization()
    assert normalization("-ilsvrcmean") == Normalization(tuple(ILSVRC[0]), tuple(ILSVRC[1]))
    caffe = Normalization((123.68, 116.779, 103.939), (1.0, 1.0, 1.0), bgr=True)
    assert normalization("-caffe") == caffe


@pytest.mark.parametrize("name", ["CIFAR-100", "CIFAR-100-sub2", "Digits"])
def test_other_means_are_measured_on_the_training_images(name, roots):
    dataset = get_dataset(name, roots.get(parse_name(name).base), repeats=3)
    pixels = np.concatenate(
        [dataset.train[i].reshape(-1, dataset.channels) for i in range(len(dataset.train))]
    ).astype(np.float64)
    assert dataset.normalization is None
    measured = measured_normalization(dataset)
    np.testing.assert_allclose(measured.mean, pixels.mean(axis=0))
    np.testing.assert_allclose(measured.std, pixels.std(axis=0))
    assert not measured.bgr


def test_image_files_count_alike_whatever_their_size(tmp_path):
    """Two images by hand, of one and of four pixels; then many of random sizes."""
    for part in ("train", "test"):
        write_pixels(tmp_path / part / "a" / "0.png", [[[10, 0, 7]]])
        write_pixels(tmp_path / part / "b" / "0.png", [[[20, 0, 7], [40, 8, 7]]] * 2)
    found = measured_normalization(get_dataset("Folder", tmp_path))
    # Means of the images: 10 and 30; squared deviations from 20: 100, and (0 + 400) / 2.
    assert found.mean == (20, 2, 7)
    np.testing.assert_allclose(found.std, (np.sqrt(300), np.sqrt(4 + (4 + 36) / 2), 1))
    rng = np.random.default_rng(0)
    images = [rng.integers(0, rng.integers(2, 256), (*rng.integers(1, 20, 2), 3)) for _ in range(9)]
    for i, image in enumerate(images):
        write_pixels(tmp_path / "train" / "ab"[i % 2] / f"{i // 2}.png", image)
    mean = np.mean([image.mean((0, 1)) for image in images], axis=0)
    squares = np.sum([((image - mean) ** 2).mean((0, 1)) for image in images], axis=0)
    found = measured_normalization(get_dataset("Folder", tmp_path))
    np.testing.assert_allclose(found.mean, mean)
    np.testing.assert_allclose(found.std, np.sqrt(squares / 8))


def write_pixels(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.array(values, np.uint8)).save(path)


def test_a_single_image_file_can_be_normalized(tmp_path):
    write_pixels(tmp_path / "train" / "a" / "0.png", [[[10, 0, 7], [30, 0, 9]]])
    write_pixels(tmp_path / "test" / "a" / "0.png", [[[10, 0, 7]]])
    found = measured_normalization(get_dataset("Folder", tmp_path))
    assert found == Normalization((20, 0, 8), (10, 1, 1))


def test_a_constant_channel_has_std_one(tmp_path):
    for part in ("train", "test"):
        for label in "ab":
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            Image.new("RGB", (4, 4), (10, 20, 30)).save(folder / "0.png")
    normalization = measured_normalization(get_dataset("Folder", tmp_path))
    assert normalization == Normalization((10.0, 20.0, 30.0), (1.0, 1.0, 1.0))


# What each reader understood, compared with what was written.


def test_cub_follows_its_lists(roots):
    dataset = get_dataset("cub", roots["CUB"])
    assert dataset.labels == (1, 2, 3)
    assert dataset.class_names == ("001.Bird_1", "002.Bird_2", "003.Bird_3")
    assert (len(dataset.train), len(dataset.test)) == (12, 6)
    for split in (dataset.train, dataset.test):
        for image, label, name in zip(split, split.labels, split.names, strict=True):
            assert name.split("/")[1] == dataset.class_names[label]
            np.testing.assert_array_equal(image, np.asarray(Image.open(roots["CUB"] / name)))
    flags = (roots["CUB"] / "train_test_split.txt").read_text().split()[1::2]
    paths = (roots["CUB"] / "images.txt").read_text().split()[1::2]
    trained = [f"images/{path}" for path, flag in zip(paths, flags, strict=True) if flag == "1"]
    assert list(dataset.train.names) == trained


def test_nab_labels_are_sorted_as_numbers(roots):
    dataset = get_dataset("NAB", roots["NAB"])
    assert dataset.labels == (302, 597, 892)
    assert dataset.class_names[0] == "Bird, no. 302 (Adult male)"
    for label, name in zip(dataset.train.labels, dataset.train.names, strict=True):
        assert name.startswith(f"images/{dataset.labels[label]:04d}/")


def test_cars_follow_the_annotations(roots):
    from scipy.io import loadmat

    dataset = get_dataset("Cars", roots["Cars"])
    assert dataset.class_names == ("Car 1", "Car 2", "Car 3")
    rows = loadmat(roots["Cars"] / "cars_annos.mat")["annotations"][0]
    for split, wanted in ((dataset.train, 0), (dataset.test, 1)):
        expected = {r["relative_im_path"][0]: r["class"][0, 0] for r in rows if r["test"] == wanted}
        labels = [dataset.labels[label] for label in split.labels]
        assert dict(zip(split.names, labels, strict=True)) == expected


def test_flowers_train_on_the_validation_images_too(roots):
    from scipy.io import loadmat

    dataset = get_dataset("Flowers", roots["Flowers"])
    split = loadmat(roots["Flowers"] / "setid.mat")
    labels = loadmat(roots["Flowers"] / "imagelabels.mat")["labels"][0]
    ids = [*split["trnid"][0], *split["valid"][0]]
    assert list(dataset.train.names) == [f"jpg/image_{i:05d}.jpg" for i in ids]
    assert [dataset.labels[label] for label in dataset.train.labels] == [labels[i - 1] for i in ids]
    assert len(dataset.test) == len(split["tstid"][0]) == 6


def test_mit67_classes_are_folders(roots):
    dataset = get_dataset("MIT67Scenes", roots["MIT67Scenes"])
    assert dataset.labels == ("room_1", "room_2", "room_3")
    lines = (roots["MIT67Scenes"] / "TrainImages.txt").read_text().splitlines()
    assert list(dataset.train.names) == [f"Images/{line}" for line in lines]


def test_cifar_channels_and_batches_are_in_place(roots):
    import pickle

    dataset = get_dataset("CIFAR-10", roots["CIFAR-10"])
    assert dataset.class_names == ("thing_0", "thing_1", "thing_2")
    raw = [
        pickle.loads((roots["CIFAR-10"] / f"data_batch_{i}").read_bytes())  # noqa: S301 (ours)
        for i in range(1, 6)
    ]
    data = np.concatenate([batch[b"data"] for batch in raw])
    assert dataset.train.labels.tolist() == [label for batch in raw for label in batch[b"labels"]]
    # Stored are all red values row by row, then all green ones, then all blue ones.
    assert dataset.train[4][3, 5].tolist() == data[4, [101, 1024 + 101, 2048 + 101]].tolist()
    assert dataset.train.names[4] == "4"


def test_digits_are_halved_class_by_class():
    from sklearn.datasets import load_digits

    dataset, raw = get_dataset("digits"), load_digits()
    assert (len(dataset.train), len(dataset.test)) == (901, 896)
    counts = np.bincount(raw.target)
    np.testing.assert_array_equal(np.bincount(dataset.test.labels), counts // 2)
    assert sorted(map(int, (*dataset.train.names, *dataset.test.names))) == list(range(1797))
    index = int(dataset.train.names[7])
    expected = np.round(raw.images[index] * 255 / 16)
    np.testing.assert_array_equal(dataset.train[7][..., 0], expected)
    assert dataset.train.labels[7] == raw.target[index]
    assert dataset.train[7].max() == 255


# Names, sizes and arguments.


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("cifar-100", DatasetName("CIFAR-100")),
        ("CUB-SUB10", DatasetName("CUB", per_class=10)),
        ("nab-large-sub5-caffe", DatasetName("NAB", "caffe", True, 5)),
        ("NAB-Caffe-sub5-LARGE", DatasetName("NAB", "caffe", True, 5)),
        ("cifar-10-sub100-ilsvrcmean", DatasetName("CIFAR-10", "ilsvrcmean", per_class=100)),
    ],
)
def test_names_are_split(name, parts):
    assert parse_name(name) == parts


@pytest.mark.parametrize(
    "name",
    [
        "",
        "CUBS",
        "CUB-sub",
        "CUB-subx",
        "CUB-sub0",
        "CUB-caffe-ilsvrcmean",
        "CUB-sub1-sub2",
        "-sub1",
        "CUB-large-large",
        "CUB-",
        "CIFAR",
        "cifar-10-mean",
    ],
)
def test_wrong_names_are_usage_errors(name):
    with pytest.raises(UsageError):
        parse_name(name)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(UsageError, match=r"unknown data set 'Birds-sub3'.*CUB, NAB"):
        get_dataset("Birds-sub3")


def test_a_registered_name_may_end_like_a_suffix(monkeypatch):
    monkeypatch.setattr(DATASETS, "_entries", {"tiny-large": ("Tiny-large", None)})
    assert parse_name("tiny-LARGE-sub3") == DatasetName("Tiny-large", per_class=3)


@pytest.mark.parametrize(
    ("arguments", "sizes"),
    [
        ({"target_size": 256}, (256, 256, 224)),
        ({"crop_size": 300}, (512, 512, 300)),
        ({"target_size": 100, "crop_size": 90}, (100, 100, 90)),
        ({"target_size": (64, 96)}, ((64, 96), 64, 56)),
    ],
)
def test_sizes_can_be_chosen(arguments, sizes, roots):
    settings = get_dataset("CUB", roots["CUB"], **arguments).preprocessing
    assert (settings.train_size, settings.test_size, settings.crop_size) == sizes


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("CIFAR-100", {"target_size": 64}),
        ("Digits", {"crop_size": 8}),
        ("CUB", {"target_size": 0}),
        ("CUB", {"crop_size": -1}),
        ("CUB", {"target_size": (50, 50)}),
        ("CUB", {"test_fraction": 0.5}),
        ("Folder", {"test_fraction": 0.5}),
    ],
)
def test_arguments_that_do_not_fit_are_usage_errors(name, arguments, roots):
    with pytest.raises(UsageError) as caught:
        get_dataset(name, roots.get(name), **arguments)
    assert "\n" not in str(caught.value)


def test_a_crop_beyond_the_image_is_padded_and_reported(roots, caplog):
    dataset = get_dataset("CUB", roots["CUB"], target_size=32, crop_size=40)
    assert dataset.preprocessing.test(dataset.test[0]).shape == (40, 40, 3)
    assert "padded" in caplog.text


@pytest.mark.parametrize("name", sorted(set(WRITERS) - {"ORL"}))  # may be installed
def test_a_root_with_that_data_set_is_required(name, tmp_path):
    with pytest.raises(UsageError, match=name):
        get_dataset(name)
    with pytest.raises(UserError, match="does not exist"):
        get_dataset(name, tmp_path / "missing")
    with pytest.raises(UserError) as caught:
        get_dataset(name, tmp_path)
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_classes_need_training_images_but_no_test_images(tmp_path, caplog):
    root = write_folder(tmp_path)
    (root / "test" / "kind_2").rename(root / "test" / "kind_9")
    with pytest.raises(UserError, match="1 classes of Folder have no training images: kind_9"):
        get_dataset("Folder", root)
    (root / "test" / "kind_9").rename(root / "test" / ".hidden")
    caplog.clear()
    assert get_dataset("Folder", root).num_classes == 3
    assert "no test images: kind_2" in caplog.text


def test_importing_the_package_is_light():
    code = (
        "import sys, datasets; datasets.dataset_names();"
        "heavy = {'keras', 'tensorflow', 'jax', 'scipy', 'sklearn'} & set(sys.modules);"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_real_cub_images():
    root = SHARED / "data" / "cub6-original" / "CUB_200_2011"
    if not root.is_dir():
        pytest.skip("needs a part of the real CUB beside the repository")
    dataset = get_dataset("CUB", root)
    assert (dataset.num_classes, len(dataset.train), len(dataset.test)) == (6, 180, 143)
    assert dataset.class_names[1] == "002.Laysan_Albatross"
    trained = dataset.preprocessing.train(dataset.train[0], np.random.default_rng(0))
    assert trained.shape == (448, 448, 3)


def test_a_file_may_be_damaged_until_it_is_read(tmp_path):
    root = write_cub(tmp_path)
    dataset = get_dataset("CUB", root)
    name = dataset.train.names[5]
    (root / name).write_bytes(b"nothing")
    assert len(dataset.train[4]) == 20
    with pytest.raises(UserError, match=name):
        dataset.train[5]


@pytest.mark.parametrize(
    "name", ["CUB", "NAB", "Cars", "Flowers", "MIT67Scenes", "ILSVRC", "iNat_Aves", "iNat2019"]
)
@pytest.mark.parametrize("suffix", ["", "-large", "-caffe"])
def test_the_published_input_follows_from_the_name(tmp_path, name, suffix):
    dataset = get_dataset(name + suffix, WRITERS[name.split("_")[0]](tmp_path))
    known = published_input(name + suffix)
    assert known == (dataset.preprocessing, dataset.normalization)


def test_the_input_of_other_data_sets_depends_on_their_images():
    assert published_input("CIFAR-100") is None and published_input("Folder-large") is None
