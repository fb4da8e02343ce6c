"""Studies as data: their grids, and the commands of the paper's scale as published."""

import importlib
import shlex
from pathlib import Path

import pytest

import study
from studies.definitions.paper.published import BEST_RATES, TABLE_2, TABLE_2_FINE_TUNED
from studies.reports.report import report
from studies.running import Request, _commands
from studies.study import NAMES, Part, Search, load
from sweeping.grid import LEARNING_RATES, LOSSES, PAPER, PROTOCOLS, VALIDATION, dataset_key
from tests.commands.running import run
from utils import UsageError

PARTS = [
    pytest.param(part, id=f"{name}-{scale}-{part.title}")
    for name in NAMES
    for scale in ("paper", "reduced")
    for part in getattr(load(name), scale)
]


@pytest.mark.parametrize("part", PARTS)
def test_parts_name_what_exists(part):
    assert [dataset_key(name) for name in part.datasets] == list(part.datasets)
    assert set(part.losses) <= set(LOSSES)
    search = part.search
    assert search.dataset is None or dataset_key(search.dataset) == search.dataset
    of_its_own = "_train" in (search.dataset or "")  # images for validation
    assert (VALIDATION in search.protocols) == (search.val_fraction is not None or of_its_own)
    assert all(rate > 0 for loss in part.losses for rate in part.rates_of(loss))
    assert 0 < search.seeds <= len(part.seeds)


def test_commands_of_simplex_targets_and_open_sets_are_accepted_by_their_parsers():
    for part in (p.values[0] for p in PARTS):
        if part.splits == ("",) and not part.evaluation:
            continue
        made = _commands(part, Request(Path(), data_roots={"": "data"}))
        for trial in {t.point.loss: t for t in part.first_trials()}.values():
            for command in filter(
                None, (made.of(trial, Path()), made.evaluation_of(trial, Path()))
            ):
                assert parsed(" ".join(command))["overwrite"]


def test_class_embeddings_of_dsc_are_farther_apart_than_its_margin():
    known = {"arpl": 6, "arpl+10": 4, "arpl+50": 4}
    study = load("open-set")
    for part in (*study.paper, *study.reduced):
        made = _commands(part, Request(Path(), data_roots={"": "data"}, weights=Path("w.h5")))
        for trial in (trial for trial in part.first_trials() if trial.point.loss == "dsc_open"):
            options = parsed(" ".join(made.of(trial, Path())))
            classes = 20 if "Tiny" in options["dataset"] else known[options["split"][:-2]]
            length = options["embedding_scale"] or classes
            # More than 2 u² in any number of dimensions.
            assert options["margin"] is None and 2 * length**2 > 48


@pytest.mark.parametrize("name", NAMES)
def test_parts_of_a_scale_share_a_folder_only_with_the_same_options(name):
    for parts in (load(name).paper, load(name).reduced):
        options, fractions = {}, {}
        for part in parts:
            same = (part.options, part.extra, part.gpus)
            assert options.setdefault(part.folder, same) == same
            fraction = part.search.val_fraction
            assert fraction is None or fractions.setdefault(part.folder, fraction) == fraction
        assert "" not in options or len(options) == 1


def test_published_accuracies_are_those_of_the_paper():
    assert len(TABLE_2) == 5 * 6 + 2 * 3 and len(TABLE_2_FINE_TUNED) == 3 * 5
    assert TABLE_2["CUB", "cosine+xent"] == 68.0 and TABLE_2["CIFAR-100", "xent+ls"] == 77.5
    assert TABLE_2["NAB-large", "semantic+xent"] == 73.8
    assert TABLE_2_FINE_TUNED["MIT67Scenes-caffe", "cosine"] == 74.3
    assert BEST_RATES["CIFAR-100"]["cosine"] == (0.05,)


def two_stages() -> Part:
    return Part(
        "two stages",
        ("Digits-sub2", "Digits-sub5"),
        ("xent", "cosine"),
        {"xent": (0.1, 0.5), "cosine": (0.3,)},
        "--epochs 1",
        seeds=(0, 1, 2),
        new_subsets=True,
        search=Search(PROTOCOLS, dataset="Digits-sub5", val_fraction=0.2),
    )


def test_rates_are_searched_with_the_first_seed_at_one_size_and_fixed_ones_not_at_all():
    names = [trial.name for trial in two_stages().first_trials()]
    assert names == [
        "Digits-sub5_xent_lr0.1_seed0",
        "Digits-sub5_xent_lr0.5_seed0",
        "Digits-sub5_xent_lr0.1_seed0_val",
        "Digits-sub5_xent_lr0.5_seed0_val",
        "Digits-sub2_cosine_lr0.3_seed0",
        "Digits-sub5_cosine_lr0.3_seed0",
        "Digits-sub2_cosine_lr0.3_seed1_subset1",
        "Digits-sub5_cosine_lr0.3_seed1_subset1",
        "Digits-sub2_cosine_lr0.3_seed2_subset2",
        "Digits-sub5_cosine_lr0.3_seed2_subset2",
    ]


def test_a_cell_is_repeated_with_all_seeds_on_all_training_samples():
    trials = two_stages().repeated(("Digits-sub2", "xent"), 0.5)
    assert {trial.protocol for trial in trials} == {PAPER}
    assert [(t.point.seed, t.point.subset_seed) for t in trials] == [(0, 0), (1, 1), (2, 2)]


ROOT_OPTION = "--data_root data/{dataset}"
PUBLISHED = {
    ("CUB", "xent"): "learn_classifier.py --dataset CUB --data_root data/CUB",
    ("NAB-large", "xent+ls"): "learn_classifier.py --dataset NAB-large --data_root data/NAB "
    "--label_smoothing 0.1",
    ("Flowers", "cosine"): "learn_image_embeddings.py --dataset Flowers "
    "--data_root data/Flowers --embedding onehot",
    ("Cars", "cosine+xent"): "learn_image_embeddings.py --dataset Cars --data_root data/Cars "
    "--embedding onehot --cls_weight 0.1",
    ("CUB", "semantic+xent"): "learn_image_embeddings.py --dataset CUB --data_root data/CUB "
    "--embedding cub_deep --cls_weight 0.1",
    ("CIFAR-100", "cosine"): "learn_image_embeddings.py --dataset CIFAR-100 "
    "--data_root data/CIFAR-100 --embedding onehot",
}
FOUR_GPUS = (
    "--architecture resnet-50 --batch_size 96 --gpus 4 --read_workers 16 --queue_size 32 "
    "--gpu_merge"
)
ONE_GPU = "--architecture resnet-110-wfc --batch_size 100"
BOOKKEEPING = ("history", "snapshot", "overwrite")


@pytest.fixture(scope="module")
def table_2(tmp_path_factory):
    out = tmp_path_factory.mktemp("study") / "out"
    shown = run(study, f"run table-2 --scale paper --dry_run --out {out} {ROOT_OPTION}")
    assert shown.status == 0, shown.err
    assert not out.exists()
    return shown.out.splitlines()


@pytest.mark.parametrize("cell", PUBLISHED, ids="-".join)
@pytest.mark.parametrize("rate", [2.5, 0.005])
def test_the_paper_scale_prints_the_published_commands(table_2, cell, rate):
    options = ONE_GPU if cell[0] == "CIFAR-100" else FOUR_GPUS
    expected = parsed(f"{PUBLISHED[cell]} {options} --sgdr_max_lr {rate}")
    name = f"{cell[0]}_{cell[1]}_lr{rate}_seed0/history.csv"
    (line,) = [line for line in table_2 if f"/{name}" in line]
    found = parsed(line.removeprefix("python "))
    assert {k: v for k, v in found.items() if k not in BOOKKEEPING} == {
        k: v for k, v in expected.items() if k not in BOOKKEEPING
    }


def parsed(command: str) -> dict[str, object]:
    script, *arguments = shlex.split(command)
    parser = importlib.import_module(Path(script).stem).build_parser()
    return vars(parser.parse_args(arguments))


def test_table_2_has_a_command_for_every_loss_data_set_and_rate(table_2):
    cells = len(TABLE_2) + len(TABLE_2_FINE_TUNED)
    assert len(table_2) == cells * len(LEARNING_RATES) == len({*table_2})
    assert sum("--finetune WEIGHTS.h5" in line for line in table_2) == 15 * 8


def test_a_dry_run_shows_the_papers_scale_if_there_is_one(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run(study, f"run table-3 --dry_run {ROOT_OPTION}").out
    assert "--architecture resnet-50 " in shown and "rn18" not in shown
    assert "--dataset Digits-sub10 " in run(study, "run digits --dry_run").out


def test_list_and_description_of_studies():
    listed = run(study, "list")
    assert [line.split()[0] for line in listed.out.splitlines()] == list(NAMES)
    shown = run(study, "show table-3")
    assert "published: CUB semantic+xent 69.9" in shown.out
    assert "  class embeddings of CUB: cub_wikispecies\n  GPUs: 4\n" in shown.out
    assert run(study, "show table-2").out.count("  starts from weights, --finetune FILE\n") == 2
    shown = run(study, "show cub50")
    assert "  rate chosen on held-out samples of CUB, with 1 seed, --epochs 36 " in shown.out
    assert "  best epoch: rates cosine+xent 0.5, xent 0.05\n" in shown.out
    shown = run(study, "show open-set")
    assert shown.out.count("  dsc_open: rates 0.1, --embedding_scale 6\n") == 2
    assert "  splits: arpl:0 arpl:1\n  evaluation: open-set\n" in shown.out
    first, second = run(study, "show cifar-100-small").out.split("Cosine loss at a higher rate")[:2]
    assert "at 0.5" not in first and "  at 0.5: --epochs 36\n" in second
    assert (
        "  at 0.147: --weight_decay 0.00188 --batch_size 50, …\n"
        in run(study, "show baselines").out
    )


def test_a_dry_run_names_the_folders_that_are_missing_and_the_gpus():
    only = "--dry_run --only CUB_xent_lr1_* CIFAR-100_xent_lr1_*"
    birds, pictures = run(study, f"run table-2 --data_root CUB=birds {only}").out.splitlines()
    assert " --data_root birds " in birds and " --gpus 4 " in birds
    assert " --data_root DSROOT " in pictures and "--gpus" not in pictures
    assert "--gpus" not in run(study, f"run table-2 --gpus_per_trial 0 {only}").out
    assert "--data_root" not in run(study, "run digits --dry_run").out


def test_a_folder_that_no_name_fits(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    command = f"run digits --out {'x' * 300}"
    assert run(study, f"{command} --dry_run").status == 0
    outcome = run(study, command)
    assert outcome.status == 2 and outcome.err.splitlines()[-1].endswith("File name too long")


def test_a_study_without_training_is_reported_into_any_folder(tmp_path):
    assert run(study, f"report figure-1 --out {tmp_path}/out").status == 0
    assert (tmp_path / "out" / "losses.svg").exists()


def test_pictures_of_other_studies_are_linked_from_any_folder(tmp_path):
    lines = report(load("table-3"), tmp_path)
    links = [line.split("(")[1][:-1] for line in lines if line.startswith("![")]
    assert links and all((tmp_path / link).is_file() for link in links)


REFUSED = [
    ("run figure-1", "figure-1: has no training at --scale reduced; give report figure-1"),
    ("report digits --scale paper", "report: takes no --scale, which is for run"),
    ("run digits --store", "run: takes no --store, which is for report"),
    ("show digits --out x", "show: takes no --out, which is for run and report"),
    ("show digits --dry_run", "show: takes no --dry_run, which is for run"),
    ("list --store", "list: takes no --store, which is for report"),
    ("report digits --cpus_per_trial 1", "report: takes no --cpus_per_trial, which is for run"),
    ("show digits --gpus_per_trial 0", "show: takes no --gpus_per_trial, which is for run"),
    ("run digits --finetune w.h5", "--finetune w.h5: none of these trials starts from weights"),
    ("show table-4", "unknown study 'table-4'; did you mean table-3? Choose from: table-2, "),
    ("run", "give the name of a study"),
    ("list cub50", "takes no name"),
    ("run cub50 --scale paper --data_root .", "cub50: has no training at --scale paper"),
    ("run table-2 --data_root .", "its reduced scale is cub50"),
    ("run figure-1", "figure-1: has no training"),
    ("run cub50", "--data_root CUB=DIR: give the folder of CUB"),
    ("run cub50 --data_root nowhere", "--data_root nowhere: there is no such folder"),
    ("run digits --gpus_per_trial 1.5", "--gpus_per_trial 1.5"),
    ("report digits --store", "--store: give --out DIR"),
    ("report digits --out nowhere", "--out nowhere has no finished trials of digits"),
    ("run digits --scale huge", "huge"),
]


@pytest.mark.parametrize(("command", "named"), REFUSED)
def test_unsuitable_arguments_give_a_one_line_error(tmp_path, monkeypatch, command, named):
    monkeypatch.chdir(tmp_path)
    outcome = run(study, command)
    assert outcome.status == 2 and outcome.out == ""
    (line,) = outcome.err.splitlines()
    assert line.startswith("study.py: ") and named in line
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_name_is_reported_with_the_known_ones():
    with pytest.raises(UsageError, match=r"did you mean table-2\? Choose from: table-2, "):
        load("table2")
