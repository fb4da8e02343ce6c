"""The command lines: quick help, published names and defaults."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import learn_classifier
import learn_image_embeddings

ROOT = Path(__file__).parents[3]
COMMANDS = [learn_classifier, learn_image_embeddings]
# Every file at the top that is run as a command.
ALL = sorted(
    path.name for path in ROOT.glob("*.py") if "console.end_process(main)" in path.read_text()
)

PUBLISHED = {
    "dataset": "Digits",
    "data_root": None,
    "architecture": "simple",
    "lr_schedule": "SGDR",
    "clipgrad": 10.0,
    "max_decay": 0.0,
    "nesterov": False,
    "epochs": None,
    "batch_size": 100,
    "val_batch_size": None,
    "snapshot": None,
    "snapshot_best": None,
    "initial_epoch": 0,
    "finetune": None,
    "gpus": 1,
    "read_workers": 8,
    "queue_size": 100,
    "gpu_merge": False,
    "model_dump": None,
    "weight_dump": None,
    "feature_dump": None,
    "log_dir": None,
    "no_progress": False,
    "top_k_acc": [],
    "sgd_patience": 10,
    "sgd_lr": 0.1,
    "sgd_min_lr": 1e-4,
    "sgd_schedule": None,
    "sgdr_base_len": 12,
    "sgdr_mul": 2,
    "sgdr_max_lr": 0.1,
    "clr_step_len": 12,
    "clr_min_lr": 1e-5,
    "clr_max_lr": 0.1,
}
OF_CLASSIFIER = {"class_list": None, "label_smoothing": 0.0, "finetune_init": 3}
OF_EMBEDDINGS = {
    "embedding": "onehot",
    "loss": "inv_corr",
    "cls_weight": 0.0,
    "cls_base": None,
    "finetune_init": 8,
}


@pytest.mark.parametrize("file", ALL)
def test_help_takes_less_than_a_second_of_work(file):
    done, work = shown_help(file)
    assert done.returncode == 0 and done.stderr == ""
    assert done.stdout.startswith(f"usage: {file}")
    assert "None" not in done.stdout and "False" not in done.stdout
    if file in ("compute_class_embedding.py", "plot_hierarchy.py"):
        assert "cub_wikispecies" in done.stdout
    # The first call may have had to compile the modules.
    assert work < 1 or shown_help(file)[1] < 1


def shown_help(file):
    """The outcome of ``--help``, and its processor time in seconds."""
    compiled = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = os.times()
    done = subprocess.run(
        [sys.executable, file, "--help"], cwd=ROOT, capture_output=True, text=True, env=compiled
    )
    after = os.times()
    work = after.children_user + after.children_system
    return done, work - before.children_user - before.children_system


def test_help_shows_defaults():
    shown = " ".join(learn_image_embeddings.build_parser().format_help().split())
    assert "SGDR: epochs in the first cycle (default: 12)" in shown
    assert "seed of all random numbers (default: 0)" in shown


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
@pytest.mark.parametrize("arguments", [["--help"], ["--dataset", "nothing"]])
def test_no_deep_learning_library_is_imported_before_the_arguments_are_right(command, arguments):
    code = (
        f"import sys, {command.__name__} as command\n"
        f"try: command.main({arguments!r})\n"
        "except SystemExit: print(); print('modules:', *sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
    )
    modules = done.stdout.splitlines()[-1].split()
    assert modules[0] == "modules:" and command.__name__ in modules
    assert not {"keras", "tensorflow", "jax", "torch"} & set(modules)


@pytest.mark.parametrize(
    ("command", "given", "defaults"),
    [
        (learn_classifier, [], PUBLISHED | OF_CLASSIFIER),
        (learn_image_embeddings, ["--embedding", "onehot"], PUBLISHED | OF_EMBEDDINGS),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_published_options_have_their_published_defaults(command, given, defaults):
    args = vars(command.build_parser().parse_args(["--dataset", "Digits", *given]))
    assert {name: args.get(name, "no such option") for name in defaults} == defaults


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: c.__name__)
def test_every_published_option_takes_a_value_of_its_kind(command):
    line = (
        "--dataset CIFAR-100 --data_root data --architecture resnet-110-wfc --lr_schedule CLR "
        "--clipgrad 5 --max_decay 0.01 --nesterov --epochs 3 --batch_size 7 --val_batch_size 8 "
        "--snapshot s.h5 --snapshot_best val_acc --initial_epoch 2 --finetune f.h5 "
        "--finetune_init 4 --gpus 2 --read_workers 1 --queue_size 3 --gpu_merge "
        "--model_dump m.h5 --weight_dump w.h5 --feature_dump f.npz --log_dir logs --no_progress "
        "--top_k_acc 5 10 --sgd_patience 4 --sgd_lr 0.2 --sgd_min_lr 0.001 --sgd_schedule 1:0.1,9 "
        "--sgdr_base_len 6 --sgdr_mul 3 --sgdr_max_lr 0.5 --clr_step_len 5 --clr_min_lr 0.001 "
        "--clr_max_lr 2.5"
    ).split()
    if command is learn_image_embeddings:
        line += "--embedding e.npz --loss mse --cls_weight 0.1 --cls_base avg_pool".split()
    else:
        line += "--class_list l.txt --label_smoothing 0.1".split()
    args = vars(command.build_parser().parse_args(line))
    flags = [word[2:] for word in line if word.startswith("--")]
    for name in flags:
        given = line[line.index(f"--{name}") + 1 :][:1]
        if name in ("nesterov", "gpu_merge", "no_progress"):
            assert args[name] is True
        elif name == "top_k_acc":
            assert args[name] == [5, 10]
        else:
            # Numbers are compared as such: 5 is read as 5.0.
            assert type(args[name])(given[0]) == args[name], name
    assert {*PUBLISHED, "finetune_init"} <= set(flags)


def test_snapshot_best_means_the_validation_loss_unless_told_otherwise():
    args = learn_classifier.build_parser().parse_args(["--dataset", "Digits", "--snapshot_best"])
    assert args.snapshot_best == "val_loss"


@pytest.mark.parametrize(
    ("command", "missing"),
    [(learn_classifier, "--dataset"), (learn_image_embeddings, "--dataset, --embedding")],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_missing_options_are_reported(command, missing, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main([])
    assert caught.value.code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    assert missing in captured.err


def test_options_are_not_abbreviated(capsys):
    with pytest.raises(SystemExit):
        learn_classifier.main(["--dataset", "Digits", "--epoch", "3"])
    assert "--epoch" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("--dataset Digits --embeding onehot", "arguments: --embeding; did you mean --embedding?"),
        ("--dataset Digits --arch simple", "arguments: --arch; did you mean --architecture?"),
        ("--datset=Digits", "arguments: --datset=Digits; did you mean --dataset?"),
        ("--xyzzy 1", "arguments: --xyzzy (see --help)"),
    ],
)
def test_unknown_options_are_reported_before_missing_ones(options, told, capsys):
    with pytest.raises(SystemExit) as caught:
        learn_image_embeddings.main(options.split())
    captured = capsys.readouterr()
    assert (caught.value.code, captured.out, captured.err.count("\n")) == (2, "", 1)
    assert told in captured.err


def test_help_takes_precedence_over_other_options(capsys):
    with pytest.raises(SystemExit) as caught:
        learn_classifier.main(["--xyzzy", "--help"])
    assert caught.value.code == 0 and "--dataset" in capsys.readouterr().out
