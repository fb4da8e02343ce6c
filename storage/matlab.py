"""Read MATLAB files of versions 5 to 7.2."""

import warnings
from pathlib import Path

import numpy as np

from storage.rehearsal import rehearsed
from utils import UserError, listing, open_regular

_MOST_VALUES = 2**24  # numbers in a list; ImageNet has 1.3 million images


def load_mat(path: Path, *variables: str, optional: str | None = None) -> list[np.ndarray]:
    """Read variables of a MATLAB file as arrays of at least one dimension.

    If the ``optional`` variable is missing, its array is empty.

    Raises:
        UserError: the file is missing or damaged, or lacks a variable.
    """
    names = [*variables, *([optional] if optional else [])]
    content = _content(path, *names)
    missing = [name for name in variables if name not in content]
    if missing:
        raise UserError(f"{path} has no variable {listing(missing)}")
    return [np.atleast_1d(content.get(name, ())) for name in names]


def whole_numbers(path: Path, name: str, values: np.ndarray) -> list[int]:
    """Return a variable of a MATLAB file as a list of integers.

    Raises:
        UserError: it is not one-dimensional, has other values, or too many.
    """
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "iuf" or values.size > _MOST_VALUES:
        raise UserError(f"{path}: {name} is not a list of whole numbers")
    if values.dtype.kind == "f" and not (np.isfinite(values) & (values == np.round(values))).all():
        raise UserError(f"{path}: {name} is not a list of whole numbers")
    return [int(value) for value in values]


@rehearsed("scipy.io")
def _content(path: Path, *names: str) -> dict[str, np.ndarray]:
    from scipy.io import loadmat

    try:
        with open_regular(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about variables that occur twice
            return loadmat(file, squeeze_me=True, variable_names=names)
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from error
    except Exception as error:  # SciPy raises anything for damaged files
        raise UserError(f"{path} is not a readable MATLAB file") from error
