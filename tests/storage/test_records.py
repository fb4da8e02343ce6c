"""Records of the origin of results; reports are claimed with theirs."""

import importlib.metadata
import json
import platform

import keras
import pytest

from storage.outputs import release
from storage.records import claim_reports, provenance, record_path, write_record
from utils import UsageError


def test_a_record_has_options_code_and_versions(tmp_path):
    path = record_path(tmp_path / "a.csv")
    write_record(path, provenance({"out": tmp_path}) | {"results": [1.5]})
    found = json.loads(path.read_text())
    assert path.name == "a.csv.run.json"
    assert found["options"] == {"out": str(tmp_path)} and found["results"] == [1.5]
    assert found["commit"] is None or len(found["commit"].rstrip("+")) == 40
    expected = {
        "backend": keras.backend.backend(),
        "python": platform.python_version(),
        "numpy": importlib.metadata.version("numpy"),
    }
    assert expected.items() <= found["versions"].items()


@pytest.mark.parametrize(
    ("csv", "plot", "existing", "said"),
    [
        ("a.csv", "b.PNG", (), None),
        (None, None, ("a.csv", "b.png"), None),
        ("a.csv", "b.bmp", (), r"--plot .*\.png or \.svg"),
        ("a.svg", "a.svg", (), "--csv and --plot name the same file"),
        ("a.csv", None, ("a.csv",), r"--csv .*a\.csv: exists"),
        ("a.csv", None, ("a.csv.run.json",), r"--csv .*run\.json: exists"),
        ("a.csv", "b.png", ("b.png",), r"--plot .*b\.png: exists"),
    ],
)
def test_reports_are_claimed_with_their_record(tmp_path, csv, plot, existing, said):
    for name in existing:
        (tmp_path / name).touch()
    csv, plot = (name and tmp_path / name for name in (csv, plot))
    try:
        if said is None:
            claim_reports(csv, plot, overwrite=False)
        else:
            with pytest.raises(UsageError, match=said):
                claim_reports(csv, plot, overwrite=False)
            if existing:
                release()
                claim_reports(csv, plot, overwrite=True)
    finally:
        release()
