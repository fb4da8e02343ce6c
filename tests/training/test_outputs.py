"""Results and their records: written, replaced, or kept as those of other runs."""

import dataclasses
import shutil
from pathlib import Path

import pytest

import learn_classifier
from evaluation.classification.evaluator import Evaluator
from storage.outputs import release
from tests.commands.running import TINY, record, run, succeed
from training import outputs, saving
from training.callbacks.epoch_log import EpochReporter
from training.options import OutputOptions
from utils import UsageError, UserError


def test_one_file_that_cannot_be_written_does_not_keep_the_others_from_being_written(
    tmp_path, monkeypatch
):
    def fail(model, path, description):
        raise UserError(f"cannot write {path}: disk full")

    monkeypatch.setattr(saving, "save_model", fail)
    outcome = run(
        learn_classifier,
        f"{TINY} --epochs 1",
        *("--model_dump", tmp_path / "m.keras", "--weight_dump", tmp_path / "w.h5"),
        *("--feature_dump", tmp_path / "f.npz"),
    )
    assert outcome.status == 1
    assert outcome.err.splitlines()[-1].startswith("learn_classifier.py: error: cannot write")
    assert not (tmp_path / "m.keras").exists()
    assert (tmp_path / "w.h5").exists() and (tmp_path / "f.npz").exists()
    assert "final" in record(tmp_path / "f.npz")


def test_a_record_that_cannot_be_written_does_not_keep_the_others_from_being_written(
    tmp_path, monkeypatch
):
    whole = Evaluator.__call__

    def evaluate(*arguments, **named):
        if "check" not in named:  # at the end
            shutil.rmtree(tmp_path / "gone")
            (tmp_path / "gone").touch()
        return whole(*arguments, **named)

    (tmp_path / "gone").mkdir()
    monkeypatch.setattr(Evaluator, "__call__", evaluate)
    outcome = run(
        learn_classifier,
        f"{TINY} --epochs 1",
        *("--weight_dump", tmp_path / "gone" / "w.h5", "--log_dir", tmp_path / "gone" / "log"),
        *("--history", tmp_path / "h.csv"),
    )
    assert outcome.status == 1 and "Traceback" not in outcome.err
    assert "final" in record(tmp_path / "h.csv")


def test_a_result_that_is_going_to_be_replaced_keeps_its_record_until_then(tmp_path, monkeypatch):
    def fail(model, path):
        raise UserError(f"cannot write {path}: disk full")

    dump, history_file = tmp_path / "w.h5", tmp_path / "h.csv"
    succeed(learn_classifier, f"{TINY} --epochs 1 --weight_dump", dump)
    first, content = record(dump), dump.read_bytes()
    again = (f"{TINY} --epochs 2 --overwrite --weight_dump", dump, "--history", history_file)
    with monkeypatch.context() as patch:
        patch.setattr(saving, "save_weights", fail)
        assert run(learn_classifier, *again).status == 1
    assert record(dump) == first and dump.read_bytes() == content
    assert record(history_file)["final"]
    succeed(learn_classifier, *again)
    assert record(dump)["options"]["epochs"] == 2 and record(dump)["final"]


def test_a_history_that_is_going_to_be_replaced_keeps_its_record_until_then(tmp_path, monkeypatch):
    path = tmp_path / "h.csv"
    succeed(learn_classifier, f"{TINY} --epochs 1 --seed 1 --history", path)
    first, content = record(path), path.read_bytes()
    seen = []
    whole = EpochReporter.on_epoch_end

    def ended(self, epoch, logs=None):
        seen.append((record(path), path.read_bytes()))
        if epoch == 1:
            raise KeyboardInterrupt
        whole(self, epoch, logs)

    monkeypatch.setattr(EpochReporter, "on_epoch_end", ended)
    assert run(learn_classifier, f"{TINY} --epochs 2 --overwrite --history", path).status == 130
    assert seen[0] == (first, content)
    assert seen[1][0]["options"]["epochs"] == 2 and seen[1][1] != content


@pytest.mark.parametrize("content", ['{"options": []}', "[" * 100_000, "{}", "[]", "no JSON"])
def test_foreign_files_are_not_replaced_by_records(tmp_path, content):
    wanted = OutputOptions(weight_dump=tmp_path / "w.h5")
    (tmp_path / "w.h5.run.json").write_text(content)
    refused = r"--weight_dump .*w\.h5: .*w\.h5\.run\.json exists and is not the record of a run"
    with pytest.raises(UsageError, match=refused):
        outputs.claim_outputs(wanted)
    release()
    with pytest.raises(UsageError, match=r"--snapshot .*s: .*s\.run\.json exists"):
        (tmp_path / "s.run.json").symlink_to("nowhere")
        outputs.claim_outputs(OutputOptions(snapshot=tmp_path / "s"))
    release()
    outputs.claim_outputs(dataclasses.replace(wanted, overwrite=True))
    release()
    outputs.begin_records(wanted, {"run": "one", "options": {}})
    assert record(tmp_path / "w.h5") == {"run": "one", "options": {}}
    (tmp_path / "w.h5").touch()  # by another command since then
    (tmp_path / "w.h5.run.json").write_text(content)
    outputs.begin_records(wanted, {"run": "one", "options": {}})
    assert (tmp_path / "w.h5.run.json").read_text() == content


def test_the_record_of_a_result_that_is_gone_is_replaced(tmp_path):
    history = tmp_path / "h.csv"
    succeed(learn_classifier, f"{TINY} --epochs 1 --history", history)
    history.unlink()
    succeed(learn_classifier, f"{TINY} --epochs 1 --seed 7 --history", history)
    assert record(history)["options"]["seed"] == 7


@pytest.mark.parametrize("name", ["w.h5", "m.keras", "f.npz"])
def test_a_resumed_run_keeps_a_file_that_replaced_its_result(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    files = "--snapshot s.h5 --weight_dump w.h5 --model_dump m.keras --feature_dump f.npz"
    command = f"{TINY} --epochs 1 {files}"
    with monkeypatch.context() as patch:
        patch.setattr(saving.ResultFiles, "write_records", interrupted)
        assert run(learn_classifier, command).status == 130
    assert sorted(p.name for p in tmp_path.glob("[mw].*")) == [
        *("m.keras", "m.keras.run.json", "w.h5", "w.h5.run.json")
    ]
    succeed(learn_classifier, command)  # it knows its own
    Path(name).write_text("somebody's")
    outcome = run(learn_classifier, command)
    assert outcome.status == 2 and f"{name}: exists already" in outcome.err.splitlines()[-1]
    assert Path(name).read_text() == "somebody's"
    Path(name).unlink()
    succeed(learn_classifier, command)


def interrupted(*arguments):
    raise KeyboardInterrupt


def test_a_finished_run_writes_the_history_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    succeed(learn_classifier, f"{TINY} --epochs 1 --seed 1 --history h.csv")
    other = Path("h.csv").read_text()
    succeed(learn_classifier, f"{TINY} --epochs 0 --history h.csv --overwrite")
    assert record("h.csv")["options"]["seed"] == 1 and Path("h.csv").read_text() == other
    succeed(learn_classifier, f"{TINY} --epochs 1 --snapshot s.h5 --history first.csv")
    succeed(learn_classifier, f"{TINY} --epochs 1 --snapshot s.h5 --history h.csv --overwrite")
    assert record("h.csv")["options"]["seed"] == 0
    assert Path("h.csv").read_text() == Path("first.csv").read_text() != other
