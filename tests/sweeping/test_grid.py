"""Points, names and command lines of trials."""

import pytest

import learn_classifier
import learn_image_embeddings
from sweeping.commands import RESERVED, Commands, check_options
from sweeping.grid import LEARNING_RATES, LOSSES, Point, Trial, dataset_key, grid, number
from utils import UsageError

PARSERS = {
    f"{command.__name__}.py": command.build_parser()
    for command in (learn_classifier, learn_image_embeddings)
}


def commands(**more):
    return Commands(("--batch_size", "96"), {}, {}, **more)


def parsed(command):
    script, *arguments = command
    return vars(PARSERS[script.rsplit("/", 1)[-1]].parse_args(arguments))


def test_the_candidates_are_the_published_ones():
    assert LEARNING_RATES == (2.5, 1.0, 0.5, 0.1, 0.05, 0.01, 0.005, 0.001)


def test_all_combinations_one_seed_after_the_other():
    points = grid(["CUB", "NAB"], ["xent", "mse"], [1.0, 0.1, 0.01], [3, 4])
    assert len(set(points)) == len(points) == 24
    assert [point.seed for point in points] == [3] * 12 + [4] * 12
    assert points[:4] == [
        *(Point("CUB", "xent", rate, 3) for rate in (1.0, 0.1, 0.01)),
        Point("CUB", "mse", 1.0, 3),
    ]


def test_every_trial_has_a_name_of_its_own():
    points = grid(["CUB", "CUB-sub1"], LOSSES, [0.1, 0.01, 0.010000001, 1e-7], [0, 1, 10])
    names = {Trial(p, protocol).name for p in points for protocol in ("paper", "validation")}
    assert len(names) == 2 * len(points)
    assert Trial(points[0], "paper").name == "CUB_mse_lr0.1_seed0"
    assert not any(set(name) & set("/ \\:") for name in names)


@pytest.mark.parametrize("value", [0.1, 2.5, 1.0, 1e-7, 1 / 3, 0.010000001, 123456789.0])
def test_numbers_keep_their_value(value):
    assert float(number(value)) == value
    assert number(0.5) == "0.5" and number(1.0) == "1"


@pytest.mark.parametrize(
    "names",
    [
        ("cub", "CUB"),
        ("CUB-SUB5-large", "cub-Large-sub5", "CUB-sub05-large"),
        ("cifar-100-Caffe", "CIFAR-100-caffe"),
    ],
)
def test_one_data_set_has_one_name(names):
    (key,) = {dataset_key(name) for name in names}
    assert dataset_key(key) == key
    assert dataset_key("CUB-sub5") != dataset_key("CUB")


EXPECTED = {
    "mse": {"embedding": "onehot", "loss": "mse", "cls_weight": 0.0},
    "unnorm_corr": {"embedding": "onehot", "loss": "unnorm_corr", "cls_weight": 0.0},
    "softmax_corr": {"embedding": "onehot", "loss": "softmax_corr", "cls_weight": 0.0},
    "dsc": {"embedding": "simplex", "loss": "dsc", "cls_weight": 0.0},
    "dsc_hinge": {"embedding": "simplex", "loss": "dsc_hinge", "cls_weight": 0.0},
    "dsc_softmax": {"embedding": "simplex", "loss": "dsc_softmax", "cls_weight": 0.0},
    "dsc_open": {"embedding": "simplex", "loss": "dsc_open", "cls_weight": 0.0},
    "xent": {"label_smoothing": 0.0},
    "xent+ls": {"label_smoothing": 0.1},
    "cosine": {"embedding": "onehot", "loss": "inv_corr", "cls_weight": 0.0},
    "cosine+xent": {"embedding": "onehot", "loss": "inv_corr", "cls_weight": 0.1},
    "semantic": {"embedding": "cub_deep", "loss": "inv_corr", "cls_weight": 0.0},
    "semantic+xent": {"embedding": "cub_deep", "loss": "inv_corr", "cls_weight": 0.1},
}


@pytest.mark.parametrize("loss", LOSSES)
def test_commands_set_what_the_paper_compares(loss, tmp_path):
    trial = Trial(Point("CUB-sub5", loss, 0.05, 7), "paper")
    args = parsed(commands().of(trial, tmp_path))
    assert args["dataset"] == "CUB-sub5" and args["sgdr_max_lr"] == 0.05 and args["seed"] == 7
    assert args["batch_size"] == 96 and args["val_fraction"] is None
    assert {name: args.get(name) for name in EXPECTED[loss]} == EXPECTED[loss]
    assert args["history"] == tmp_path / "history.csv"
    assert args["snapshot"] == tmp_path / "snapshot.h5"
    assert args["model_dump"] is None and args["gpus"] == 1


def test_additional_options_of_trials(tmp_path):
    trial = Trial(Point("CUB", "cosine", 0.05, 0), "validation")
    more = {"val_fraction": 0.125, "gpus": 4, "save_models": True}
    args = parsed(commands(**more).of(trial, tmp_path))
    assert args["val_fraction"] == 0.125 and args["gpus"] == 4
    assert args["model_dump"] == tmp_path / "model.keras"


def test_folders_and_embeddings_by_data_set():
    given = Commands((), {"": "/all/{dataset}", "NAB": "/nab", "CUB-sub5": "/five"}, {"CUB": "e"})
    assert given.data_root("Cars-large") == "/all/Cars"
    assert given.data_root("NAB-sub3") == "/nab"
    assert given.data_root("CUB-sub5") == "/five" and given.data_root("CUB-sub6") == "/all/CUB"
    assert commands().data_root("CUB") is None
    assert given.embedding("semantic", "CUB-sub2") == "e"
    assert given.embedding("semantic", "NAB") == "nab"
    with pytest.raises(UsageError, match="--embeddings Cars=NAME"):
        given.embedding("semantic", "Cars")


@pytest.mark.parametrize("option", sorted(RESERVED))
def test_options_of_the_sweep_itself_are_refused(option):
    for text in (option, f"{option}=1"):
        with pytest.raises(UsageError, match=f"^{option}.* after --"):
            check_options(("--epochs", "1", text))
    known = {name for parser in PARSERS.values() for name in parser._option_string_actions}
    assert option in known


def test_other_options_are_passed_on():
    check_options(("--epochs", "5", "--architecture=resnet-50", "--cache", "folder"))
