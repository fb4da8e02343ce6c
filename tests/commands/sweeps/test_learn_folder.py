"""learn_folder.py: errors, messages, and steps that are not repeated."""

import csv
import importlib.util
import itertools
import json
import shlex
import shutil
import signal

import pytest

import learn_classifier
import learn_folder
from sweeping.search.commands import steps
from sweeping.search.space import Candidate
from sweeping.search.trials import FINISHED, UNFINISHED, Plan, SearchTrial, write_trial
from sweeping.search.winner import used_before
from tests.commands.running import run
from tests.fake_data import write_image
from utils import Interrupted


@pytest.fixture
def photos(tmp_path):
    for i, label in enumerate(("cat", "dog")):
        for j in range(5):
            write_image(tmp_path / f"photos/{label}/{j}.png", 10 * i + j, (40, 50))
    return tmp_path / "photos"


@pytest.fixture
def no_search(monkeypatch):
    """A search that ends without any trial."""
    monkeypatch.setattr(learn_folder, "_search", lambda args, plan: [])


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    monkeypatch.setattr(learn_folder, "_NEEDED", {})


def test_the_plan_is_printed_and_the_parts_are_kept_without_a_winner(photos, tmp_path, no_search):
    outcome = run(learn_folder, "--minutes 2 --trials 3", photos, "--out", tmp_path / "out")
    assert outcome.status == 1 and "Traceback" not in outcome.err
    assert outcome.err.splitlines()[-1].startswith(
        "learn_folder.py: error: the search ended without a finished trial: 0 begun"
    )
    told = outcome.out.splitlines()
    assert told[0] == f"{photos}: 2 classes, 10 images"
    assert told[1] == "  50x40 pixels (median); shorter sides from 40 to 40"
    search, each, then = told[-3:]
    assert search.startswith("Search for at most 2 minutes or 3 trials: objective (cosine+xent, ")
    assert search.endswith("size (32)")
    assert each == (
        "Each trial trains with --architecture rn18 --batch_size 8 --epochs 60 --seed 0 and is "
        "judged on 2 of the 8 training images"
    )
    assert then == "Then the winner is trained on all 8 and tested once on 2 images"
    with open(tmp_path / "out/parts.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(row["part"] for row in rows) == ["held out"] * 2 + ["test"] * 2 + ["train"] * 6
    tested = {row["file"] for row in rows if row["part"] == "test"}
    linked = {
        p.relative_to(photos.parent / "out/data/held-out")
        for p in (tmp_path / "out/data/held-out").rglob("*.png")
    }
    assert len(linked) == 8 and not {"/".join(p.parts[-2:]) for p in linked} & tested
    facts = json.loads((tmp_path / "out/trials.csv.run.json").read_text())
    assert facts["options"]["trials"] == 3 and facts["versions"]


@pytest.mark.parametrize("name", ["new", "0"])
def test_a_search_on_other_images_is_not_resumed(photos, tmp_path, no_search, name):
    options = ("", photos, "--out", tmp_path / "out")
    assert [run(learn_folder, *options).status for _ in range(2)] == [1, 1]
    write_image(photos / f"dog/{name}.png", 99, (40, 50))
    outcome = run(learn_folder, *options)
    assert outcome.status == 2
    assert "images and parts of the digest" in outcome.err.splitlines()[-1]


def test_folders_of_images_that_are_damaged_or_copies(photos, tmp_path, no_search):
    (photos / "cat/bad.png").write_bytes(b"no image")
    (photos / "dog/copy.png").write_bytes((photos / "dog/0.png").read_bytes())
    outcome = run(learn_folder, "", photos, "--out", tmp_path / "out")
    assert "damaged, left out: cannot read " in outcome.err
    assert "copies, left out: dog/" in outcome.err and " (copy of dog/" in outcome.err
    assert (
        "  1 damaged" in outcome.out and "  8 to train on, 2 to test on, 2 left out" in outcome.out
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--folds 5", "--folds 5: class cat has only 4 training images"),
        ("--folds 1", "argument --folds: "),
        ("--folds 2 --val_fraction 0.5", "--folds holds out each part in turn; leave out "),
        ("--val_fraction 1", "'1' is not a number above 0 and below 1"),
        ("--sizes 0", "argument --sizes: "),
        ("--minutes 0", "argument --minutes: "),
        ("--architecture nonet", "argument --architecture: "),
        ("--architecture gru", "gru is for documents"),
    ],
)
def test_unsuitable_options_give_a_one_line_error(photos, tmp_path, no_search, options, message):
    outcome = run(learn_folder, options, photos, "--out", tmp_path / "out")
    assert outcome.status == 2 and message in outcome.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_export_needs_a_backend_that_exports(photos, tmp_path, no_search, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    outcome = run(learn_folder, "--onnx", photos, "--out", tmp_path / "out")
    assert outcome.status == 2 and not (tmp_path / "out").exists()
    assert outcome.err.splitlines()[-1].endswith("--onnx needs the TensorFlow backend, not jax")


def test_images_held_out_by_the_user_leave_no_fraction_to_choose(photos, tmp_path, no_search):
    shutil.rmtree(photos)
    names = itertools.product(("train", "val", "test"), ("cat", "dog"), range(2))
    for i, (part, label, j) in enumerate(names):
        write_image(photos / part / label / f"{j}.png", 10 * i, (40, 50))
    outcome = run(learn_folder, "--val_fraction 0.5", photos, "--out", tmp_path / "out")
    assert outcome.status == 2
    assert outcome.err.splitlines()[-1].endswith(f"{photos} has validation images of its own")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--epochs 3", "--epochs after --: the search sets this option for each trial"),
        ("--epochs=3", "--epochs after --: the search"),
        ("--cutmix 1", "--cutmix after --: the search"),
        ("--cosine_max_lr 3", "--cosine_max_lr after --: the "),
        ("--seed 3", "--seed after --: "),
        ("--early_stopping 3", "--early_stopping after --: "),
        ("--subset_seed 3", "--subset_seed after --: "),
        ("--val_every 2", "--val_every after --: "),
        ("--folds 2 --fold 0", "--folds after --: "),
        ("--cutmix_prob 0.5", "--cutmix_prob needs --cutmix ALPHA"),
        ("--harmonic_level 2", "--harmonic_level 2 needs --harmonic"),
        ("--optimizer adam --nesterov", "--nesterov: --optimizer adam has no such momentum"),
        ("--finetune none.keras", "--finetune none.keras: there is no such file"),
        ("--color_jitter", "leave one out (one of the augmentations that are tried: randaug"),
        ("--nonsense", "learn_folder.py: learn_image_embeddings.py: error: "),
        ("--embedding_dim 3", "learn_folder.py: learn_classifier.py: error: "),
    ],
)
def test_unsuitable_training_options_give_a_one_line_error(photos, no_search, options, message):
    outcome = run(learn_folder, "", photos, "--", *options.split())
    assert outcome.status == 2 and message in outcome.err.splitlines()[-1]


def test_the_report_repeats_the_training_of_each_fold(tmp_path):
    parts = tmp_path / "data/fold-1", tmp_path / "data/fold-2"
    plan = Plan(tmp_path, parts, ("--epochs", "4"), 4, 30, (32,), 0)
    best = SearchTrial(Candidate("xent", 0.1, 1e-4, 32, "plain", 0.0), FINISHED, 0.0, 6.0, (0.5,))
    found = steps(plan, best, "python learn_folder.py photos", "python learn_classifier.py", ())
    commands = dict(found)
    for part in parts:
        words = shlex.split(commands[f"The winner's trial on {part}"])
        values = dict(itertools.pairwise(words))
        assert words[:2] == ["python", learn_classifier.__file__]
        assert values["--data_root"] == str(part)
        assert values["--history"].endswith(f"/{part.name}/history.csv")


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        ({"cat": 5, "dog": 0}, "has a single class, cat"),
        ({"cat": 5, "dog": 1}, "class dog in {photos} has fewer than 2 images"),
        ({"cat": 5, "dog": 2}, "1 of 2 classes have too few usable images, dog"),
        ({}, "none of its images can be read"),
    ],
)
def test_unsuitable_folders_give_a_one_line_error(photos, tmp_path, no_search, keep, message):
    for path in sorted(photos.glob("*/*.png")):
        if not keep:
            path.write_bytes(b"no image")
        elif int(path.stem) >= keep[path.parent.name]:
            path.unlink()
    for folder in photos.iterdir():
        if not any(folder.iterdir()):
            folder.rmdir()
    outcome = run(learn_folder, "", photos, "--out", tmp_path / "out")
    assert outcome.status == 1 and "Traceback" not in outcome.err
    assert message.format(photos=photos) in outcome.err.splitlines()[-1]
    assert not (tmp_path / "out").exists()


def test_results_within_the_images_are_refused(photos):
    outcome = run(learn_folder, "", photos, "--out", photos / "learned")
    assert outcome.status == 2 and "where it would be a class" in outcome.err


def test_missing_folders_and_packages_are_named(photos, monkeypatch):
    assert run(learn_folder, "nowhere").err.endswith(
        "nowhere does not exist; give a folder with one folder of images per class\n"
    )
    monkeypatch.setattr(learn_folder, "_NEEDED", {"no_such_package": "requirements-x.txt"})
    outcome = run(learn_folder, "", photos)
    assert outcome.status == 2 and "pip install -r requirements-x.txt" in outcome.err


@pytest.mark.parametrize(("status", "runs"), [(UNFINISHED, 1), (FINISHED, 0)])
def test_the_search_resumes_until_all_trials_have_ended(tmp_path, monkeypatch, status, runs):
    plan = Plan(tmp_path, (tmp_path / "data/held-out",), (), 4, 30, (32,), 0)
    for rate, state in ((0.1, FINISHED), (0.2, status)):
        trial = SearchTrial(Candidate("xent", rate, 1e-4, 32, "plain", 0.0), state, rate, 6.0, ())
        plan.folder(trial.candidate).mkdir(parents=True)
        write_trial(plan, trial)
    calls = []
    monkeypatch.setattr(learn_folder, "_resume", lambda *given: calls.append(given))
    args = learn_folder.build_parser().parse_args(["photos", "--trials", "2"])
    assert len(learn_folder._search(args, plan)) == 2 and len(calls) == runs
    args.trials = 3
    learn_folder._search(args, plan)
    assert len(calls) == runs + 1


def test_a_stopped_search_reports_how_many_trials_have_ended(tmp_path, monkeypatch):
    plan = Plan(tmp_path, (tmp_path / "data/held-out",), (), 4, 30, (32,), 0)
    monkeypatch.setattr(learn_folder, "_resume", lambda *given: signal.SIGTERM)
    args = learn_folder.build_parser().parse_args(["photos"])
    with pytest.raises(Interrupted, match="0 of 0 trials have ended; repeat the command to resume"):
        learn_folder._search(args, plan)
    assert (tmp_path / "trials.csv").exists()


def test_the_winner_is_trained_once_and_a_new_winner_is_reported(tmp_path, monkeypatch, caplog):
    trained = []

    def learn(args):
        trained.append(args)
        args.model_dump.write_text("a model")
        record = {"options": vars(args), "final": {}}
        args.model_dump.with_name("model.keras.run.json").write_text(
            json.dumps(record, default=str)
        )

    monkeypatch.setattr(learn_classifier, "learn", learn)
    monkeypatch.setattr(learn_folder, "import_backend", lambda prepare: None)
    plan = Plan(tmp_path, (tmp_path / "data/held-out",), ("--epochs", "4"), 4, 30, (32,), 0)
    for name, images in (("held-out", 2), ("all", 4)):
        for i in range(images):
            write_image(tmp_path / f"data/{name}/train/cat/{i}.png", i, (4, 4))
    first, second = (
        SearchTrial(Candidate("xent", rate, 1e-4, 32, "plain", 0.0), FINISHED, 0.0, 60.0, (0.5,))
        for rate in (0.1, 0.2)
    )
    with caplog.at_level("INFO"):
        learn_folder._train(plan, first)
        learn_folder._train(plan, first)
    assert len(trained) == 1 and "The winner has been trained before" in caplog.text
    assert "about 2.0 min" in caplog.text  # twice as many images
    args = trained[0]
    assert (args.data_root, args.cosine_max_lr) == (tmp_path / "data/all", 0.1)
    # The test images are used after the last epoch only.
    assert (args.epochs, args.val_every, args.val_fraction) == (4, 4, None)
    assert args.command_line.startswith("python ") and "learn_classifier.py" in args.command_line
    (tmp_path / "snapshot.h5").write_text("of the first")
    assert "another winner" not in caplog.text
    learn_folder._train(plan, second)
    assert len(trained) == 2 and "used before, for another winner" in caplog.text
    before, now = (args.command_line for args in trained)
    assert not used_before(plan, before)
    (told,) = used_before(plan, now)
    assert "for other winners of this search (1)" in told
    assert not (tmp_path / "snapshot.h5").exists()
