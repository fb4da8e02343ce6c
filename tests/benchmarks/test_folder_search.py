"""The benchmark of ``learn_folder.py``: its images, what it records, and a command that fails."""

import csv
import json

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from benchmarks import folder_search
from tests.commands.running import run


def test_the_digits_are_those_of_scikit_learn(tmp_path):
    folder = folder_search._digits(tmp_path)
    files = sorted(folder.glob("*/*.png"), key=lambda file: file.name)
    digits = load_digits()
    assert [int(file.parent.name) for file in files] == digits.target.tolist()
    for i in (0, 1000, 1796):
        pixels = np.asarray(Image.open(files[i]))
        np.testing.assert_allclose(pixels / 255, digits.images[i] / 16, atol=0.5 / 255)


def test_states_of_trials_and_the_winner_are_recorded(tmp_path):
    with open(tmp_path / "trials.csv", "w", newline="") as file:
        csv.writer(file).writerows([["status"], ["finished"], ["stopped early"], ["finished"]])
    options = {"ema": 0.99, "batch_size": 32, "data_root": f"{tmp_path}/data/all"}
    record = {"options": options, "final": {"acc": 0.9}}
    (tmp_path / "model.keras.run.json").write_text(json.dumps(record))
    found = folder_search._found(tmp_path)
    assert found["trials"] == {"finished": 2, "stopped early": 1}
    assert found["winner"] == {"ema": 0.99, "batch_size": 32} and found["final"] == {"acc": 0.9}


def test_a_failing_command_is_reported_and_leaves_no_file(tmp_path):
    output = tmp_path / "f.json"
    outcome = run(folder_search, "--photos", tmp_path / "nowhere", "--output", output)
    assert outcome.status == 1 and not output.exists()
    assert outcome.err.splitlines()[-1].endswith("learn_folder.py ended with status 2")
