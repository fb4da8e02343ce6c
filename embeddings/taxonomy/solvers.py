"""Compute class embeddings whose dot products are similarities, or distances 1 - similarity.

All methods take similarities, float64 (n, n), symmetric, with ones on the diagonal, and return
vectors, float64 (n, dimensions). The methods are those of the code published with Barz and
Denzler, "Hierarchy-based Image Embeddings for Semantic Image Retrieval", WACV 2019.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from embeddings.taxonomy.tree import Label
from utils import UsageError, UserError, listing

_ROUNDING = 1e-10
"""Eigenvalues below this fraction of the largest one count as zero."""


def unitsphere(similarities: np.ndarray, num_dim: int | None = None) -> np.ndarray:
    """Return unit vectors whose dot products are the similarities (Section 3.2 of the paper).

    As published, the matrix is lower triangular, the first class is (1, 0, …) and there are as
    many dimensions as classes: this is the Cholesky factor. The similarities of a tree are always
    positive definite, with eigenvalues of at least 1 / height of the root.

    Raises:
        UsageError: ``num_dim`` is another number.
        UserError: the similarities are not positive semi-definite.
    """
    if num_dim not in (None, len(similarities)):
        raise _fixed("unitsphere", num_dim, len(similarities), "approx_sim")
    return _triangular_factor(similarities)


def approx_sim(similarities: np.ndarray, num_dim: int | None = None) -> np.ndarray:
    """Approximate the similarities by dot products in fewer dimensions, by eigendecomposition.

    The sum of squared differences is minimal for ``num_dim`` dimensions (Eckart and Young, 1936).
    With all positive eigenvalues, the default, it is zero if the similarities are positive
    semi-definite.

    Raises:
        UsageError: there are fewer than ``num_dim`` positive eigenvalues.
    """
    return _leading_factor("approx_sim", similarities, num_dim)


def spheres(similarities: np.ndarray, num_dim: int | None = None) -> np.ndarray:
    """Return points at Euclidean distances of 1 - similarity, in classes - 1 dimensions.

    The first class is the origin; each further one adds a dimension and lies where the spheres
    around the earlier ones intersect.

    Raises:
        UsageError: ``num_dim`` is another number.
        UserError: no points have these distances.
    """
    if num_dim not in (None, len(similarities) - 1):
        raise _fixed("spheres", num_dim, len(similarities) - 1, "mds")
    squares = (1 - similarities) ** 2
    # Dot products of the others, relative to the first (Schoenberg, 1935).
    products = (squares[1:, :1] + squares[:1, 1:] - squares[1:, 1:]) / 2
    try:
        others = _triangular_factor(products)
    except UserError as error:
        raise UserError(f"no points have these distances from each other: {error}") from error
    return np.concatenate([np.zeros((1, others.shape[1])), others])


def mds(similarities: np.ndarray, num_dim: int | None = None) -> np.ndarray:
    """Approximate distances of 1 - similarity by classical scaling (Torgerson, 1952).

    With all positive eigenvalues, the default, the distances are exact if points at these
    distances exist.

    Raises:
        UsageError: there are fewer than ``num_dim`` positive eigenvalues.
    """
    squares = (1 - similarities) ** 2
    centered = squares - squares.mean(axis=0)
    centered -= centered.mean(axis=1, keepdims=True)
    return _leading_factor("mds", -centered / 2, num_dim)


def dot_products(vectors: np.ndarray) -> np.ndarray:
    """Return the dot products of all pairs of vectors, (n, n)."""
    return vectors @ vectors.T


def distances(vectors: np.ndarray) -> np.ndarray:
    """Return the Euclidean distances of all pairs of vectors, (n, n)."""
    from scipy.spatial.distance import pdist, squareform

    return squareform(pdist(vectors))


@dataclass(frozen=True)
class Method:
    """A method to embed classes."""

    # Maps similarities (n, n) and number of dimensions (None: default) to vectors
    embed: Callable[[np.ndarray, int | None], np.ndarray]
    realized: Callable[[np.ndarray], np.ndarray]  # maps vectors to dot products or distances
    target: Callable[[np.ndarray], np.ndarray]  # maps similarities to the desired ones, (n, n)
    measure: str  # "dot products" or "Euclidean distances", for messages

    def deviations(self, vectors: np.ndarray, similarities: np.ndarray) -> np.ndarray:
        """Return the absolute deviations of the realized values from the target, (n, n)."""
        return np.abs(self.realized(vectors) - self.target(similarities))


_BY_DOT_PRODUCT = (dot_products, lambda similarities: similarities, "dot products")
_BY_DISTANCE = (distances, lambda similarities: 1 - similarities, "Euclidean distances")

METHODS = {
    "unitsphere": Method(unitsphere, *_BY_DOT_PRODUCT),
    "approx_sim": Method(approx_sim, *_BY_DOT_PRODUCT),
    "spheres": Method(spheres, *_BY_DISTANCE),
    "mds": Method(mds, *_BY_DISTANCE),
}
"""Published methods by name."""


def normalized(vectors: np.ndarray, labels: Sequence[Label]) -> np.ndarray:
    """Scale the vectors of these classes to unit length.

    Raises:
        UsageError: a vector is zero.
    """
    lengths = np.linalg.norm(vectors, axis=1)
    zero = [label for label, length in zip(labels, lengths, strict=True) if length < _ROUNDING]
    if zero:
        raise UsageError(f"--norm: zero vectors have no direction, like that of {listing(zero)}")
    return vectors / lengths[:, None]


def _fixed(method: str, num_dim: int, dimensions: int, other: str) -> UsageError:
    return UsageError(
        f"--num_dim {num_dim}: {method} always has {dimensions} dimensions for these classes; "
        f"{other} can have fewer"
    )


def _triangular_factor(products: np.ndarray) -> np.ndarray:
    """Return the lower triangular L with L Lᵀ equal to a positive semi-definite matrix.

    Raises:
        UserError: the matrix is not positive semi-definite.
    """
    try:
        return np.linalg.cholesky(products)
    except np.linalg.LinAlgError:
        return _singular_factor(products)


def _singular_factor(products: np.ndarray) -> np.ndarray:
    """Factorize a matrix without full rank, for which Cholesky's method divides by zero."""
    values, vectors = np.linalg.eigh(products)
    if values[0] < -_ROUNDING * values[-1]:
        raise UserError(
            "the similarity matrix is not positive semi-definite (its smallest eigenvalue is "
            f"{values[0]:.3g}); approx_sim and mds embed it approximately"
        )
    upper = np.linalg.qr((vectors * np.sqrt(values.clip(0))).T, mode="r")
    return (upper * np.where(np.diag(upper) < 0, -1, 1)[:, None]).T


def _leading_factor(method: str, products: np.ndarray, num_dim: int | None) -> np.ndarray:
    """Return vectors whose dot products approximate a symmetric matrix, on its principal axes."""
    values, vectors = np.linalg.eigh(products)
    most = int(np.sum(values > _ROUNDING * values[-1]))
    if num_dim is not None and num_dim > most:
        raise UsageError(
            f"--num_dim {num_dim}: {method} has at most {most} dimensions for these "
            f"{len(values)} classes"
        )
    kept = slice(-1, -1 - (num_dim or most), -1)
    values, vectors = values[kept], vectors[:, kept]
    # The sign of an eigenvector is arbitrary: make its largest entry positive.
    signs = np.sign(np.take_along_axis(vectors, np.abs(vectors).argmax(axis=0)[None], axis=0))
    return vectors * signs * np.sqrt(values)
