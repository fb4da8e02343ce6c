"""Text and plot of the demo, from hand-made runs and results."""

from dataclasses import replace

import pytest
from scipy import stats

from studies import demo
from studies.results import write_runs
from studies.study import load
from tests.studies.test_results import ended

LOSSES = ("xent", "cosine+xent")


def trained(dataset, loss, rate, seed, best, options=""):
    run = ended(dataset, loss, rate, seed, best=best, test=best, options=options)
    return replace(run, training_curve=(0.2, 0.9), judged_curve=(0.1, best))


def rate(part, loss):
    return part.paper_rates.get(loss, part.rates_of(loss))[0]


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A function that stores accuracies of both losses at one rate as a study's."""
    monkeypatch.setattr(demo, "STORED", tmp_path)

    def store(study, *values):
        part = load(study).reduced[0]
        (tmp_path / study).mkdir()
        runs = [
            trained(part.datasets[0], loss, rate(part, loss), seed, value, part.options)
            for loss, accuracies in zip(LOSSES, values, strict=True)
            for seed, value in enumerate(accuracies)
        ]
        write_runs(tmp_path / study, runs)

    return store


@pytest.mark.parametrize(
    ("second", "told"), [((0.93, 0.91), "do not differ"), ((0.31, 0.29), "differ")]
)
def test_the_text_agrees_with_the_stored_accuracies(stored, second, told):
    first = (0.92, 0.94)
    assert (stats.ttest_ind(first, second, equal_var=False).pvalue < 0.05) == (told == "differ")
    stored("digits", first, second)
    stored("cub50", (0.30,), (0.36,))
    _, digits, birds = demo.meaning()
    assert "softmax + cross-entropy 93.0 ± 1.4 %" in digits
    assert digits.endswith(f"the two losses {told} significantly.")
    assert "64 pixels" in birds and "cross-entropy 30.0 %" in birds and "one-hot 36.0 %" in birds


def test_curves_of_another_study_are_drawn_next_to_the_demo(stored, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(demo, "save_plot", lambda figure, *_, **__: drawn.append(figure))
    runs = {loss: trained("Digits-sub10", loss, 0.1, 0, 0.9) for loss in LOSSES}
    stored("cub50", (0.30,), (0.36,))
    demo.draw(tmp_path / "curves.png", runs)
    (both,) = drawn
    test = both.axes[1].lines[2]
    assert test.get_label() == "cosine + 0.1 cross-entropy, one-hot: test"
    assert test.get_xydata().tolist() == [[1, 10], [2, 36]]
    assert demo.table(runs)[-1].endswith("0.9000  0.9000  demo/cosine+xent.keras")
