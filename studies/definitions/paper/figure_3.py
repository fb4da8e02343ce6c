"""Figure 3: accuracy by documents per class, on AG News."""

from studies.study import Part, Search, Study
from sweeping.grid import LEARNING_RATES, PROTOCOLS, VALIDATION

_LOSSES = ("xent", "cosine", "cosine+xent")
# The paper keeps the iterations constant for images only.
_OPTIONS = "--architecture gru --batch_size 128 --epochs 180 --repeats 1"
_REDUCED = "--word_vectors kumo --max_length 48 --val_every 180"


def _named(sizes: tuple[int, ...]) -> tuple[str, ...]:
    return tuple(f"AG-News-sub{n}" for n in sizes)


# One subset has just 80 documents to hold out.
_SEARCH = Search((VALIDATION,), seeds=3, dataset="AG-News-sub100", val_fraction=0.2)
_SEEDS = {"seeds": tuple(range(5)), "new_subsets": True}
# Where the last batch is tiny, or steps are few; the part in four batches avoids both.
_SUPERSEDED = _named((10, 25, 50, 100))

STUDY = Study(
    "figure-3",
    "Figure 3: accuracy by documents per class",
    "Random subsets of AG News, classified with word vectors, a GRU and a dense layer. The paper "
    "does not say how it chose the learning rate; here it is chosen on held-out documents of "
    "three subsets with 100 documents per class. At that rate, cross-entropy does poorly at some "
    "sizes, so a second table has a lower rate for it, and a higher one for cosine + "
    "cross-entropy. In batches of 128, the last of 400 documents are 16, from which batch "
    "normalization takes its statistics once an epoch; and 10 or 25 documents per class are one "
    "batch an epoch, so that 180 steps are few for its moving averages. A third table therefore "
    "has four batches an epoch: of 100 documents, or of 40 if there are just 40. There, "
    "cross-entropy has both rates: under best epoch, the better one counts.",
    paper=(
        Part(
            "AG News",
            _named((10, 25, 35, 50, 100, 200, 400, 800)),
            _LOSSES,
            LEARNING_RATES,
            f"{_OPTIONS} --word_vectors glove.6B.300d.txt",
            search=_SEARCH,
            seeds=tuple(range(10)),
            new_subsets=True,
            compared=_LOSSES,
        ),
    ),
    reduced=(
        Part(
            "AG News",
            _named((10, 25, 50, 100, 400)),
            _LOSSES,
            (1.0, 0.5, 0.1, 0.05, 0.01),
            f"{_OPTIONS} {_REDUCED}",
            "tuned",
            search=_SEARCH,
            superseded=_SUPERSEDED,
            compared=_LOSSES,
            **_SEEDS,
        ),
        Part(
            "AG News, cross-entropy at 0.05, cosine + cross-entropy at 0.5",
            _named((10, 25, 50, 100)),
            ("xent", "cosine+xent"),
            {"xent": (0.05,), "cosine+xent": (0.5,)},
            f"{_OPTIONS} {_REDUCED}",
            "second-rate",
            superseded=_SUPERSEDED,
            **_SEEDS,
        ),
        Part(
            "AG News, in four batches an epoch",
            _named((10, 25, 50, 100)),
            _LOSSES,
            {"xent": (0.5,), "cosine": (0.5,), "cosine+xent": (0.05,)},
            f"--architecture gru --batch_size 100 --epochs 180 {_REDUCED}",
            "four-batches",
            # At the rate that was chosen, cross-entropy fails with 10 documents per class.
            paper_rates={"xent": (0.5, 0.05)},
            extra={
                "AG-News-sub10": "--repeats 4",
                "AG-News-sub25": "--repeats 4",
                "AG-News-sub50": "--repeats 2",
                "AG-News-sub100": "--repeats 1",
            },
            protocols=PROTOCOLS,  # the rates are those of the search
            compared=_LOSSES,
            **_SEEDS,
        ),
    ),
    reduced_text="Scaled down (the paper's setup in parentheses): 50-dimensional word vectors "
    "(300), the first 48 words of each document (the paper states no limit), five sizes up to 400 "
    "documents per class (eight up to 800), five learning rates (not stated), 5 subsets (10), "
    "drawn from 4,999 training documents without titles (120,000), so that larger subsets overlap. "
    "The test documents are evaluated only at the end of each of the four SGDR cycles, so that the "
    "best epoch is the best of these.",
    draws=("sizes",),
)
