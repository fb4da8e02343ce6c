"""Invalid command lines: one line of error before any training."""

import re
from pathlib import Path

import numpy as np
import pytest

import learn_classifier
import learn_image_embeddings
from tests import fake_data
from tests.commands.running import DATA, FOLDER, TINY, USAGE, check_refused, run
from training.parallel import devices

KEPT = b"written earlier"


def write_embeddings(path: Path, labels: list) -> None:
    np.savez(path, embedding=np.eye(len(labels)), ind2label=np.array(labels))


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """The working directory, with files that are right in themselves."""
    monkeypatch.chdir(tmp_path)
    for name in ("old.keras", "old.h5", "old.npz", "old.csv"):
        (tmp_path / name).write_bytes(KEPT)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs/events").write_bytes(KEPT)
    (tmp_path / "empty").mkdir()
    fake_data.write_lines(tmp_path / "classes.txt", ["3 three", "17 seventeen"])
    fake_data.write_lines(tmp_path / "twice.txt", ["3 three", "3 three"])
    write_embeddings(tmp_path / "others.npz", ["cat", "dog"])
    write_embeddings(tmp_path / "overlapping.npz", ["1", "2", "dog"])
    return tmp_path


# The options, the exit status, and what the message has to name.
FOR_BOTH = [
    ("--dataset CIFAR-1000", USAGE, "CIFAR-1000"),
    ("--dataset Digits-sub0", USAGE, "Digits-sub0"),
    ("--dataset CUB", USAGE, "CUB"),
    ("--dataset CUB --data_root nowhere", DATA, "nowhere"),
    ("--dataset CUB --data_root empty", DATA, "CUB"),
    ("--architecture resnet-33", USAGE, "resnet-33"),
    ("--target_size 32", USAGE, "Digits"),
    ("--initial_epoch 1", USAGE, "--initial_epoch 1: the training has only 1 epochs"),
    ("--initial_epoch 2", USAGE, "--initial_epoch 2: the training has only 1 epochs"),
    ("--cutmix 1e-320", USAGE, "'1e-320' is not a number above 0"),
    ("--mixup 1e-320", USAGE, "'1e-320' is not a number above 0"),
    ("--lr_schedule Step --step_factor 2", USAGE, "'2' is not a number from 0 to 1"),
    ("--lr_schedule Step --step_factor 1.5", USAGE, "'1.5' is not a number from 0 to 1"),
    (f"--steps_per_execution {2**31}", USAGE, "is not an integer from 1 to 2147483647"),
    (f"--val_every {2**31}", USAGE, "is not an integer from 1 to 2147483647"),
    ("--test_fraction 0.5", USAGE, "Digits"),
    ("--val_every 0", USAGE, "--val_every"),
    ("--randaugment 2", USAGE, "--randaugment 2: give N M"),
    ("--randaugment 0 9", USAGE, "'0' is not an integer from 1"),
    ("--randaugment 2 strong", USAGE, "'strong' is not a number"),
    ("--randaugment timm:2:11", USAGE, "go up to 10"),
    ("--randaugment timm:2:9 --color_jitter", USAGE, "--color_jitter"),
    ("--crop_scale 0.5 0.4", USAGE, "--crop_scale 0.5 0.4"),
    ("--crop_scale 0 1", USAGE, "--crop_scale 0 1"),
    ("--erasing on", USAGE, "--erasing"),
    ("--cutmix 0", USAGE, "--cutmix"),
    ("--cutmix 1 --mixup 1", USAGE, "--cutmix and --mixup"),
    ("--cutmix_prob 0.5", USAGE, "--cutmix_prob"),
    ("--val_every 2 --lr_schedule SGD", USAGE, "--sgd_schedule"),
    ("--model_dump missing/m.keras", USAGE, "missing"),
    ("--weight_dump missing/w.h5", USAGE, "missing"),
    ("--history missing/h.csv", USAGE, "missing"),
    ("--snapshot missing/s.h5", USAGE, "missing"),
    ("--log_dir missing/logs", USAGE, "missing/logs"),
    ("--model_dump model.pb", USAGE, "model.pb"),
    ("--weight_dump weights.npz", USAGE, "weights.npz"),
    ("--feature_dump features.csv", USAGE, "features.csv"),
    ("--model_dump empty", USAGE, "empty"),
    ("--snapshot empty", USAGE, "empty"),
    ("--model_dump old.keras", USAGE, "old.keras"),
    ("--weight_dump old.h5", USAGE, "old.h5"),
    ("--feature_dump old.npz", USAGE, "old.npz"),
    ("--history old.csv", USAGE, "old.csv"),
    ("--log_dir logs", USAGE, "logs"),
    ("--log_dir old.csv", USAGE, "old.csv"),
    ("--snapshot old.h5", DATA, "old.h5"),
    ("--sgd_schedule 31:0.01,1:0.1", USAGE, "31:0.01,1:0.1"),
    ("--sgd_schedule 0:0.1,50", USAGE, "0:0.1,50"),
    ("--sgd_schedule 1:0.1,31:0.01,30:0.1,50", USAGE, "30:0.1"),
    ("--sgd_schedule abc", USAGE, "abc"),
    ("--top_k_acc 5 --top_k_acc=3", USAGE, "--top_k_acc: given 2 times"),
    ("--snapshot_best", USAGE, "--snapshot"),
    ("--finetune missing.h5", USAGE, "missing.h5"),
    ("--finetune old.h5", DATA, "old.h5"),
    ("--batch_size 0", USAGE, "--batch_size"),
    ("--batch_size ten", USAGE, "ten"),
    ("--epochs -1", USAGE, "-1"),
    ("--sgdr_max_lr nan", USAGE, "nan"),
    ("--sgdr_max_lr inf", USAGE, "inf"),
    ("--seed -1", USAGE, "--seed"),
    ("--max_decay 1.5", USAGE, "1.5"),
    ("--lr_schedule Adam", USAGE, "Adam"),
    ("--no_such_option", USAGE, "--no_such_option"),
    ("--optimizer adam --nesterov", USAGE, "--optimizer adam"),
    ("--steps_per_execution 2 --ema 0.9", USAGE, "--ema averages"),
    ("--ema 1", USAGE, "'1' is not a number from 0 to less than 1"),
    (
        "--lr_schedule Cosine --cosine_warmup 1",
        USAGE,
        "--cosine_warmup 1: give fewer than all 1 epochs",
    ),
    ("--accumulate 9", USAGE, "--accumulate 9: the training has 3 batches"),
    ("--early_stopping 2", USAGE, "--early_stopping 2: would choose an epoch by the test images"),
    ("--val_fraction 0.2 --folds 5", USAGE, "--folds: not allowed with argument --val_fraction"),
    ("--folds 6 --fold 0", USAGE, "--folds 6: every fold needs images of each class, but 0 of"),
    ("--oversample --class_weights balanced", USAGE, "not allowed with argument --oversample"),
    ("--class_weights missing.csv", DATA, "missing.csv"),
    ("--class_weights classes.txt", USAGE, "'3 three' is not CLASS,WEIGHT"),
    ("--max_words 9", USAGE, "--max_words 9: Digits-sub5 has images, not documents"),
]
FOR_CLASSIFIER = [
    ("--class_list classes.txt", USAGE, "17"),
    ("--class_list twice.txt", USAGE, "3"),
    ("--class_list missing.txt", DATA, "missing.txt"),
    ("--label_smoothing 2", USAGE, "--label_smoothing"),
    ("--embedding onehot", USAGE, "--embedding"),
]
FOR_EMBEDDINGS = [
    ("--embedding others.npz", USAGE, "cat"),
    ("--embedding overlapping.npz", USAGE, "dog"),
    ("--embedding missing.npz", DATA, "missing.npz"),
    ("--embedding old.npz", DATA, "old.npz"),
    ("--embedding empty", DATA, "empty"),
    ("--embedding onehot --loss cosinus", USAGE, "cosinus"),
    ("--embedding onehot --cls_weight -1", USAGE, "-1"),
    ("--embedding onehot --cls_weight 0.1 --cls_base conv99", USAGE, "conv99"),
    ("--embedding onehot --cls_weight 0.1 --cls_base 99", USAGE, "99"),
    ("--embedding onehot --embedding_dim 20", USAGE, "--embedding_dim"),
    ("--embedding simplex --embedding_dim 0", USAGE, "--embedding_dim"),
    ("--embedding simplex --embedding_dim 8", USAGE, "a simplex for 10 classes needs at least 9"),
    ("--embedding simplex --embedding_scale 0", USAGE, "above 0"),
    ("--embedding simplex-centred", USAGE, "the embedding has 8"),  # features of the network
    ("--embedding simplex --embedding_scale 5", USAGE, "--loss inv_corr compares directions"),
    ("--embedding simplex --embedding_dim 9 --loss softmax_corr", USAGE, "--loss softmax_corr"),
    ("--embedding onehot --projection_layers 2", USAGE, "--projection dam"),
    (
        "--embedding simplex --projection dam --embedding_dim 8",
        USAGE,
        "a simplex for 10 classes needs",
    ),
    ("--embedding onehot --background empty", USAGE, "--background is for --loss dsc_open"),
    *[
        (f"--embedding simplex --loss dsc_open --margin 1 --background {source}", USAGE, named)
        for source, named in (
            ("empty", "there are no images"),
            ("Digitz", "no such folder, and unknown data set 'Digitz'"),
            ("Digits", "shares 0, 1, 2, "),
            ("CUB", "CUB is read from files"),
        )
    ],
    ("--embedding onehot --mixed_targets loss", USAGE, "--mixed_targets needs --cutmix or --mixup"),
    (
        *("--embedding simplex --loss dsc_open --mixup 1 --mixed_targets normalized", USAGE),
        "--loss dsc_open compares with all class embeddings",
    ),
    (
        *("--embedding simplex --loss dsc_open --mixup 1 --background empty", USAGE),
        "--mixup: images of --background have no class",
    ),
    ("--embedding onehot --background_root empty", USAGE, "--background_root needs --background"),
    (
        "--embedding simplex --loss dsc_open --background empty --background_root .",
        USAGE,
        "empty is a folder, not a",
    ),
    ("--embedding onehot --margin 1", USAGE, "--margin is for --loss dsc_hinge and dsc_open"),
    (
        *("--embedding simplex --embedding_dim 20 --loss dsc_open --margin 500", USAGE),
        "--margin 500: the largest squared distance between class embeddings is 210;",
    ),
]
# Both commands share the code behind the first list, so they take turns.
TABLE = [
    *[(learn_classifier, *row) for row in FOR_BOTH[::2] + FOR_CLASSIFIER],
    *[(learn_image_embeddings, f"--embedding onehot {o}", s, n) for o, s, n in FOR_BOTH[1::2]],
    *[(learn_image_embeddings, *row) for row in FOR_EMBEDDINGS],
]


@pytest.mark.parametrize(
    ("command", "options", "status", "named"), TABLE, ids=[f"{r[0].__name__} {r[1]}" for r in TABLE]
)
def test_refused_in_one_line_before_training(folder, command, options, status, named):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    outcome = run(command, f"{TINY} --epochs 1 {options}")
    check_refused(outcome, f"{command.__name__}.py", status, named)
    after = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert after == before


@pytest.mark.parametrize("argument", ["a\nb", "--x\ny"])
def test_control_characters_leave_the_message_in_one_line(folder, argument):
    outcome = run(learn_classifier, TINY, argument)
    assert outcome.status == 2 and len(outcome.err.splitlines()) == 1


def test_an_empty_folder_may_hold_a_log_and_another_output(folder):
    options = f"{TINY} --epochs 1 --log_dir empty --history empty/h.csv"
    assert run(learn_classifier, options).status == 0


def test_an_output_may_not_be_the_record_of_another(folder):
    options = f"{TINY} --epochs 1 --history h.csv --weight_dump h.csv.run.json"
    outcome = run(learn_classifier, options.replace("--weight_dump", "--snapshot"))
    named = "--snapshot and the record of --history name the same file, h.csv.run.json"
    check_refused(outcome, "learn_classifier.py", USAGE, named)


def test_requires_available_gpus(folder):
    present = devices.count("gpu")
    if present >= 4:
        pytest.skip("this machine has four GPUs")
    outcome = run(learn_classifier, f"{TINY} --epochs 1 --gpus 4")
    check_refused(outcome, "learn_classifier.py", USAGE, "--gpus 4")
    assert f"{devices.count('gpu')} GPU" in outcome.err


def test_roots_of_other_data_sets_are_refused(folder):
    fake_data.write_cars(folder / "cars")
    outcome = run(learn_classifier, "--dataset Flowers --architecture tiny --data_root cars")
    check_refused(outcome, "learn_classifier.py", DATA, "Flowers")
    assert "cars" in outcome.err


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_damaged_image_is_named(folder, part):
    """Read training images for the mean, test images at the first validation."""
    fake_data.write_folder(folder / "data")
    (damaged,) = list((folder / "data" / part / "kind_2").glob("*.png"))[:1]
    jpeg = fake_data.write_image(damaged.with_suffix(".jpg"))
    damaged.unlink()
    jpeg.write_bytes(jpeg.read_bytes()[:200])
    outcome = run(learn_classifier, f"{FOLDER} --data_root data --weight_dump w.h5")
    check_refused(outcome, "learn_classifier.py", DATA, jpeg.name)
    assert not (folder / "w.h5").exists()


def test_overwrite_replaces_and_logs_may_be_added_to(folder):
    outcome = run(
        learn_classifier,
        f"{TINY} --epochs 1 --overwrite --weight_dump old.h5 --history old.csv --log_dir logs",
    )
    assert outcome.status == 0, outcome.err
    assert (folder / "old.h5").read_bytes().startswith(b"\x89HDF")
    assert (folder / "old.csv").read_text().startswith("epoch,")
    assert (folder / "logs/events").read_bytes() == KEPT
    assert re.search(r"^Epoch 1/1", outcome.out)


def test_a_device_type_that_this_machine_lacks(folder):
    if devices.count("gpu"):
        pytest.skip("this machine has GPUs")
    outcome = run(learn_classifier, f"{TINY} --epochs 1 --device_type gpu")
    check_refused(outcome, "learn_classifier.py", USAGE, "leave out --device_type")
