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


def _part(taxonomy: str, rates: tuple[float, ...], options: str, **more) -> Part:
    losses = ("cosine", "cosine+xent") if taxonomy == "one-hot" else p.SEMANTIC
    more |= {"embeddings": {"CUB": f"cub_{taxonomy}"}, "reported": p.TABLE_3[taxonomy]}
    return Part(_TITLES[taxonomy], ("CUB",), losses, rates, options, taxonomy, **more)


STUDY = Study(
    "table-3",
    "Table 3: depth of the taxonomy, on CUB",
    "Test accuracy with class embeddings that encode more and more levels of the bird taxonomy.",
    paper=tuple(_part(t, LEARNING_RATES, p.FINE_GRAINED, gpus=4) for t in _TITLES),
    reduced=tuple(
        _part(t, cub50.RATES, cub50.OPTIONS, **cub50.SHARED) for t in ("flat", "wikispecies")
    ),
    reduced_in=("cub50",),
    reduced_text=f"{cub50.SETUP} So it is under best epoch, since none is published.",
)
