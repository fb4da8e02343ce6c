"""Tiny data sets on disk in the layout of the real ones, for tests of every part.

Every writer takes the root folder, fills it with random images and returns it.
"""

import gzip
import json
import pickle
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = (20, 24)  # height and width of the images, pixels


def write_image(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> Path:
    """A random RGB image; the suffix decides on the format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def write_bands(path: Path, seed: int = 0, size: tuple[int, int] = (64, 64)) -> Path:
    """A random image of 13 bands of 16 bits, as EuroSAT has them."""
    import tifffile

    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 2**16, (*size, 13), np.uint16)
    tifffile.imwrite(path, pixels, photometric="minisblack", planarconfig="contig")
    return path


def write_lines(path: Path, lines) -> Path:
    """A text file of these lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def write_cub(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """CUB-200-2011 with this many images of each class; ids and labels count from 1."""
    rows = _rows(classes, train, test)
    names = {label: f"{label:03d}.Bird_{label}" for label in range(1, classes + 1)}
    ids = [str(i) for i in range(1, len(rows) + 1)]
    paths = [f"{names[label]}/bird_{i:04d}.jpg" for i, (label, _) in enumerate(rows)]
    write_lines(root / "classes.txt", (f"{label} {name}" for label, name in names.items()))
    return _write_ids(root, ids, paths, rows)


def write_nab(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """NABirds: ids are UUIDs, labels have gaps, class names spaces, and inner nodes have names."""
    rows = [(295 * label + 7, is_train) for label, is_train in _rows(classes, train, test)]
    ids = [f"{i:08x}-21dc-4d0c-bfe1-4cae3c85c829" for i in range(len(rows))]
    paths = [
        f"{label:04d}/{identifier.replace('-', '')}.jpg"
        for identifier, (label, _) in zip(ids, rows, strict=True)
    ]
    names = [f"{label} Bird, no. {label} (Adult male)" for label in sorted({r[0] for r in rows})]
    write_lines(root / "classes.txt", ["0 Birds", "1 Ducks, Geese, and Swans", *names])
    return _write_ids(root, ids, paths, rows)


def write_cars(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """Stanford Cars; labels count from 1."""
    from scipy.io import savemat

    rows = _rows(classes, train, test)
    fields = [("relative_im_path", "O"), ("bbox_x1", "O"), ("class", "O"), ("test", "O")]
    annotations = np.zeros((1, len(rows)), dtype=fields)
    for i, (label, is_train) in enumerate(rows):
        path = f"car_ims/{i + 1:06d}.jpg"
        write_image(root / path, i)
        annotations[0, i] = (path, 1, label, int(not is_train))
    names = np.array([[f"Car {label}" for label in range(1, classes + 1)]], dtype=object)
    savemat(root / "cars_annos.mat", {"annotations": annotations, "class_names": names})
    return root


def write_flowers(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """Flowers-102: half the training images are listed as validation images."""
    from scipy.io import savemat

    rows = _rows(classes, train, test)
    for i in range(len(rows)):
        write_image(root / f"jpg/image_{i + 1:05d}.jpg", i)
    trained = [i + 1 for i, (_, is_train) in enumerate(rows) if is_train]
    tested = [i + 1 for i, (_, is_train) in enumerate(rows) if not is_train]
    savemat(root / "imagelabels.mat", {"labels": [[label for label, _ in rows]]})
    split = {"trnid": [trained[0::2]], "valid": [trained[1::2]], "tstid": [tested]}
    savemat(root / "setid.mat", split)
    return root


def write_flowers_compressed(root: Path) -> Path:
    """The same, in files as MATLAB writes them by default."""
    from scipy.io import loadmat, savemat

    write_flowers(root)
    for path in root.glob("*.mat"):
        content = {name: value for name, value in loadmat(path).items() if name[0] != "_"}
        savemat(path, content, do_compression=True)
    return root


def write_mit67(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """MIT Indoor Scenes: lists of class/file, some with spaces."""
    lists: dict[bool, list[str]] = {True: [], False: []}
    for i, (label, is_train) in enumerate(_rows(classes, train, test)):
        path = f"room_{label}/view {i}.jpg"
        write_image(root / "Images" / path, i)
        lists[is_train].append(path)
    write_lines(root / "TrainImages.txt", lists[True])
    write_lines(root / "TestImages.txt", lists[False])
    return root


def write_cifar10(root: Path, classes: int = 3, train: int = 5, test: int = 2) -> Path:
    """CIFAR-10: ``train`` images of each class over the five batches."""
    meta = {b"label_names": [f"thing_{label}".encode() for label in range(classes)]}
    _write_pickle(root / "batches.meta", meta)
    rows = np.tile(np.arange(classes), train)
    for i, labels in enumerate(np.array_split(rows, 5), start=1):
        _write_pickle(root / f"data_batch_{i}", _cifar_batch(labels, b"labels", seed=i))
    labels = np.tile(np.arange(classes), test)
    _write_pickle(root / "test_batch", _cifar_batch(labels, b"labels", seed=6))
    return root


def write_cifar100(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """CIFAR-100 with its fine labels."""
    meta = {b"fine_label_names": [f"thing_{label}".encode() for label in range(classes)]}
    _write_pickle(root / "meta", meta)
    for seed, (file, count) in enumerate((("train", train), ("test", test))):
        labels = np.tile(np.arange(classes), count)
        _write_pickle(root / file, _cifar_batch(labels, b"fine_labels", seed))
    return root


def write_mnist(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """MNIST in its idx files, of which those with labels are compressed."""
    for part, count in (("train", train), ("t10k", test)):
        labels = np.tile(np.arange(classes, dtype=np.uint8), count)
        images = np.random.default_rng(count).integers(0, 256, (len(labels), 28, 28), np.uint8)
        (root / f"{part}-images-idx3-ubyte").parent.mkdir(parents=True, exist_ok=True)
        (root / f"{part}-images-idx3-ubyte").write_bytes(_idx(images))
        (root / f"{part}-labels-idx1-ubyte.gz").write_bytes(gzip.compress(_idx(labels)))
    return root


def _idx(values: np.ndarray) -> bytes:
    return bytes((0, 0, 8, values.ndim)) + np.array(values.shape, ">i4").tobytes() + bytes(values)


def write_svhn(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """SVHN's cropped digits: the pixels of an image in columns; a zero is called ten."""
    from scipy.io import savemat

    root.mkdir(parents=True, exist_ok=True)
    for file, count in (("train_32x32.mat", train), ("test_32x32.mat", test)):
        labels = np.tile(np.arange(1, classes + 1), count)
        labels[labels == 1] = 10
        pixels = np.random.default_rng(count).integers(0, 256, (32, 32, 3, len(labels)), np.uint8)
        savemat(root / file, {"X": pixels, "y": np.uint8(labels)[:, np.newaxis]})
    return root


def write_tiny_imagenet(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """Tiny-ImageNet: classes are not listed in the order of their synsets; images of tests, too."""
    synsets = [f"n{1440000 + 7 * i % 10:08d}" for i in range(classes)]
    rows = []
    for i, (label, is_train) in enumerate(_rows(classes, train, test)):
        synset = synsets[label - 1]
        if is_train:
            write_image(root / "train" / synset / "images" / f"{synset}_{i}.JPEG", i, (64, 64))
        else:
            write_image(root / "val" / "images" / f"val_{i}.JPEG", i, (64, 64))
            rows.append(f"val_{i}.JPEG\t{synset}\t0\t32\t44\t62")
    write_lines(root / "val" / "val_annotations.txt", rows)
    write_lines(root / "wnids.txt", synsets)
    names = (f"{synset}\tthing {i}, other name" for i, synset in enumerate(synsets))
    write_lines(root / "words.txt", [*names, "n00000000\tsomething else"])
    write_lines(root / "train" / synsets[0] / f"{synsets[0]}_boxes.txt", ["x.JPEG 0 0 1 1"])
    write_image(root / "test" / "images" / "test_0.JPEG")
    return root


def write_faces(root: Path, people: int = 3, train: int = 4, test: int = 2) -> Path:
    """Faces of people to learn, and of two others who are in pairs.txt."""
    for person in (*(f"Person_{i}" for i in range(people)), "Ann", "Bo"):
        for number in range(1, train + test + 1):
            write_image(root / person / f"{person}_{number:04d}.png", number)
    write_lines(root / "pairs.txt", ["2 1", *["Ann 1 2", "Ann 1 Bo 1"] * 2])
    return root


def write_folder(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """A folder with subfolders for training and testing."""
    for i, (label, is_train) in enumerate(_rows(classes, train, test)):
        write_image(root / ("train" if is_train else "test") / f"kind_{label}" / f"{i}.png", i)
    return root


def write_classes(root: Path, classes: int = 3, images: int = 6) -> Path:
    """A folder with one subfolder per class and no split."""
    for i, (label, _) in enumerate(_rows(classes, images, 0)):
        write_image(root / f"kind_{label}" / f"{i}.png", i)
    return root


def write_whole_cifar100(root: Path) -> Path:
    """CIFAR-100 with all of its classes, which its halves need."""
    return write_cifar100(root, classes=100)


def write_ilsvrc(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """ILSVRC 2012: a folder per synset in each of two folders."""
    for i, (label, is_train) in enumerate(_rows(classes, train, test)):
        folder = "ILSVRC2012_img_train" if is_train else "ILSVRC2012_img_val"
        write_image(root / folder / f"n{1440000 + label:08d}" / f"image_{i}.JPEG", i)
    write_lines(root / "ILSVRC2012_img_train" / "README.txt", ["no synset"])
    return root


def write_inat(root: Path, year: int = 2018, classes: int = 3, train: int = 4, test: int = 2):
    """iNaturalist; two categories of each class number, a bird and a plant, in mixed order."""
    kinds = ("Aves", "Plantae")
    categories = [
        {"id": 10 * label + k, "name": f"{kind} {label}", "supercategory": kind}
        for label in range(classes, 0, -1)
        for k, kind in enumerate(kinds)
    ]
    for split, is_train in (("train", True), ("val", False)):
        images, annotations = [], []
        for i, (label, trained) in enumerate(_rows(classes, train, test)):
            for k, kind in enumerate(kinds):
                if trained == is_train:
                    file = f"train_val{year}/{kind}/{label}/{i}.jpg"
                    write_image(root / file, 2 * i + k)
                    images.append({"id": 2 * i + k, "file_name": file, "license": 1})
                    annotations.append({"image_id": 2 * i + k, "category_id": 10 * label + k})
        content = {"images": images, "annotations": annotations, "categories": categories}
        (root / f"{split}{year}.json").write_text(json.dumps(content))
    return root


def write_inat2019(root: Path) -> Path:
    """iNaturalist 2019."""
    return write_inat(root, 2019)


def write_orl(root: Path) -> Path:
    """The Database of Faces: gray images, as small as can be."""
    for person in range(1, 41):
        folder = root / f"s{person}"
        folder.mkdir(parents=True)
        for number in range(1, 11):
            image = Image.new("L", (23, 28), 5 * person + number)
            image.save(folder / f"{number}.pgm")
    return root


def write_ag_news(root: Path, train: int = 6, test: int = 3) -> Path:
    """AG News: documents of four words, of which the second tells the class."""
    root.mkdir(parents=True, exist_ok=True)
    for part, count in (("train", train), ("test", test)):
        lines = [
            f'"{label}","The {TOPICS[label - 1]}","today,\\{part} no. {i}"'
            for i in range(count)
            for label in range(1, 5)
        ]
        write_lines(root / f"{part}.csv", lines)
    write_lines(root / "classes.txt", ["World", "Sports", "Business", "Sci/Tech"])
    return root


TOPICS = ("war", "game", "bank", "web")


def write_word_vectors(path: Path, dimensions: int = 3) -> Path:
    """Vectors of the topics and two more words, as GloVe's text."""
    rng = np.random.default_rng(0)
    words = ("the", ",", *TOPICS, "today")
    rows = rng.normal(size=(len(words), dimensions)).round(4).tolist()
    return write_lines(
        path, (" ".join([w, *map(str, row)]) for w, row in zip(words, rows, strict=True))
    )


def write_vipriors(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """ILSVRC 2012 with the lists of VIPriors: half of its training images for validation."""
    write_ilsvrc(root, classes, 2 * train, test)
    found = {
        folder: sorted(root.glob(f"ILSVRC2012_img_{folder}/n*/*")) for folder in ("train", "val")
    }
    lines = {k: [f"{path.parent.name}/{path.name}" for path in v] for k, v in found.items()}
    for i, name in enumerate(("train", "val")):
        write_lines(root / f"{name}.txt", lines["train"][i::2])
    write_lines(root / "test.txt", lines["val"])
    return root


def write_gem_cub(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """CUB-200-2011 with the lists of GEM, whose first split has no images but for training."""
    return _write_gem(root, "{0:03d}.Bird_{0}/bird_{1:04d}", ".jpg", classes, train, test)


def write_gem_clamm(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """Latin manuscripts with the lists of GEM."""
    return _write_gem(root, "page_{0}_{1}", ".tif", classes, train, test)


def write_gem_eurosat(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """EuroSAT with the lists of GEM."""
    form = "Land_{0}/Land_{0}_{1}"
    return _write_gem(root, form, ".tif", classes, train, test, write_bands)


def write_gem_isic(root: Path, classes: int = 3, train: int = 4, test: int = 2) -> Path:
    """Skin lesions with the lists of GEM, all in one folder."""
    return _write_gem(root, "ISIC_{0}_{1}", ".jpg", classes, train, test)


def _write_gem(
    root: Path, form: str, suffix: str, classes: int, train: int, test: int, write=write_image
) -> Path:
    """Lists of all images for training, two thirds of these, and the others; of images to test."""
    listed = {"trainval0": [], "train1": [], "val1": [], "test0": []}
    for i, (label, is_train) in enumerate(_rows(classes, train, test)):
        name = form.format(label, i)
        write(root / "images" / f"{name}{suffix}", i)
        lists = ("trainval0", "val1" if i % 3 == 0 else "train1") if is_train else ("test0",)
        for kind in lists:
            listed[kind].append(f"{name} {label - 1}")
    for name, lines in listed.items():
        write_lines(root / f"{name}.txt", lines)
    return root


def write_gem_cifar10(root: Path) -> Path:
    """CIFAR-10 with as many images of each class as one split of GEM takes."""
    return write_cifar10(root, train=50)


WRITERS = {
    "CIFAR-10": write_cifar10,
    "CIFAR-100": write_cifar100,
    "CIFAR-100-a": write_whole_cifar100,
    "CIFAR-100-b": write_whole_cifar100,
    "CIFAR-100-b-consec": write_whole_cifar100,
    "CUB": write_cub,
    "NAB": write_nab,
    "Cars": write_cars,
    "Flowers": write_flowers,
    "MIT67Scenes": write_mit67,
    "ORL": write_orl,
    "MNIST": write_mnist,
    "Fashion-MNIST": write_mnist,
    "SVHN": write_svhn,
    "Tiny-ImageNet": write_tiny_imagenet,
    "Faces": write_faces,
    "Folder": write_folder,
    "ILSVRC": write_ilsvrc,
    "iNat": write_inat,
    "iNat2018": write_inat,
    "iNat2019": write_inat2019,
    "VIPriors": write_vipriors,
    "GEM-CUB": write_gem_cub,
    "GEM-CLaMM": write_gem_clamm,
    "GEM-EuroSAT": write_gem_eurosat,
    "GEM-ISIC": write_gem_isic,
    "GEM-CIFAR-10": write_gem_cifar10,
}
"""Writers by the name of the data set; Digits needs no files."""


def _rows(classes: int, train: int, test: int) -> list[tuple[int, bool]]:
    """Label (from 1) and whether it is for training, of each image, the classes taking turns."""
    rows = [(label, i < train) for i in range(train + test) for label in range(1, classes + 1)]
    return [rows[i] for i in np.random.default_rng(0).permutation(len(rows))]


def _write_ids(root: Path, ids: list[str], paths: list[str], rows: list) -> Path:
    for i, path in enumerate(paths):
        write_image(root / "images" / path, i)
    columns = {
        "images.txt": paths,
        "image_class_labels.txt": [label for label, _ in rows],
        "train_test_split.txt": [int(is_train) for _, is_train in rows],
    }
    for file, values in columns.items():
        pairs = zip(ids, values, strict=True)
        write_lines(root / file, (f"{identifier} {value}" for identifier, value in pairs))
    return root


def _cifar_batch(labels: np.ndarray, key: bytes, seed: int) -> dict:
    data = np.random.default_rng(seed).integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    return {b"data": data, key: labels.tolist(), b"batch_label": b"a batch"}


def _write_pickle(path: Path, content) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, protocol=2))
