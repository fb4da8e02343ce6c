"""Table 3: class embeddings from taxonomies of growing depth, on CUB."""

from studies.definitions.paper import published as p
from studies.definitions.small import cub50
from studies.study import Part, Study
from sweeping.grid import LEARNING_RATES

_TITLES = {
    "one-hot": "One-hot, 1 level",
    "flat": "Flat taxonomy, 4 levels",
    "wikispecies": "Wikispecies, 4–6 levels",
    "deep": "Deep taxonomy, 7 levels",
}
_LOSSES = dict.fromkeys(_TITLES, p.SEMANTIC) | {"one-hot": ("cosine", "cosine+xent")}
_PAPER_RATES = dict.fromkeys(p.SEMANTIC, cub50.SEMANTIC_RATES)
# The study ``cub50`` has the other rows.
_REDUCED = {"flat": p.SEMANTIC, "wikispecies": p.SEMANTIC, "deep": ("semantic",)}


def _part(
    taxonomy: str, losses: tuple[str, ...], rates: tuple[float, ...], options: str, **more
) -> Part:
    more |= {"embeddings": {"CUB": f"cub_{taxonomy}"}, "published_accuracies": p.TABLE_3[taxonomy]}
    return Part(_TITLES[taxonomy], ("CUB",), losses, rates, options, taxonomy, **more)


STUDY = Study(
    "table-3",
    "Table 3: depth of the taxonomy, on CUB",
    "Test accuracy with class embeddings that encode more and more levels of the bird taxonomy.",
    paper=tuple(_part(*item, LEARNING_RATES, p.FINE_GRAINED, gpus=4) for item in _LOSSES.items()),
    reduced=tuple(
        _part(*item, cub50.RATES, cub50.OPTIONS, **cub50.SHARED, paper_rates=_PAPER_RATES)
        for item in _REDUCED.items()
    ),
    reduced_in=("cub50",),
    reduced_text=f"{cub50.SETUP} Under best epoch, it is the better one, by test accuracy, of 0.5 "
    "(published for one-hot vectors) and 0.1 (chosen with the deep taxonomy in `cub50`).",
)
