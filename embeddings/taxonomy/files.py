"""Read taxonomies: outlines, the project's own format, and published files of pairs.

``embeddings/taxonomies/README.md`` describes outlines; the first line distinguishes the formats.
"""

import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path

from embeddings import shipped
from embeddings.taxonomy.tree import Label, Taxonomy
from utils import UsageError, UserError, read_text

MARK = "#taxonomy"
"""Beginning of the first line of an outline."""

_INDENT = 2  # spaces per level
_MOST_LINES = 250_000  # WordNet has 82,115 noun synsets
_CLASS = re.compile(r"\[([^\]]+)\]\s*(.*)")  # [label] name


def read_taxonomy(source: str | Path, is_a: bool = False, str_ids: bool = False) -> Taxonomy:
    """Read a taxonomy from a file, or a shipped one by its name.

    Args:
        source: a file, or a name such as ``cub_deep``; shipped taxonomies take precedence.
        is_a: whether the lines of a file of pairs are "child parent" instead of "parent child".
        str_ids: whether IDs are text even if they look like numbers.

    Raises:
        UserError: the file cannot be read or is not a taxonomy: a line has the wrong form, there
            is a cycle, or a class occurs twice.
        UsageError: ``is_a`` is given for an outline.
    """
    path = shipped.taxonomy_path(source)
    if _is_missing(path):
        raise UserError(
            f"there is no file {path} with a taxonomy, and none of that name is shipped; choose "
            f"from: {', '.join(shipped.taxonomy_names())}"
        )
    lines = list(enumerate(read_text(path).splitlines(), 1))
    if len(lines) > _MOST_LINES:
        raise UserError(f"{path} has more than {_MOST_LINES:,} lines, too many for a taxonomy")
    if lines and lines[0][1].startswith(MARK):
        if is_a:
            raise UsageError(f"--is_a is for files of pairs; {path} is an outline, leave it out")
        return _read_outline(path, lines, str_ids)
    return _read_pairs(path, lines, is_a, str_ids)


def _is_missing(path: Path) -> bool:
    try:
        return not stat.S_ISREG(os.stat(path).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:  # it may exist; reading it will give the reason
        return False


def _read_pairs(path: Path, lines: list[tuple[int, str]], is_a: bool, str_ids: bool) -> Taxonomy:
    """Read a pair of IDs per line; nodes are numbered in the order of first occurrence."""
    number: dict[Label, int] = {}
    edges = []
    for where, line in lines:
        words = line.split()
        if words and len(words) != 2:
            raise UserError(f"{path}, line {where}: {line.strip()!r} is not a pair of ids")
        pair = [_id(path, where, word, str_ids) for word in (reversed(words) if is_a else words)]
        if pair:
            edges.append(tuple(number.setdefault(label, len(number)) for label in pair))
    if not edges:
        raise UserError(f"{path} is empty: it should have one pair of ids per line")
    _check_direction(path, edges, is_a)
    return Taxonomy(list(number), edges, source=str(path))


def _id(path: Path, where: int, word: str, str_ids: bool) -> Label:
    try:
        return word if str_ids else int(word)
    except ValueError as error:
        raise UserError(
            f"{path}, line {where}: {word!r} is not a whole number; if ids are text, give --str_ids"
        ) from error


def _check_direction(path: Path, edges: list[tuple[int, int]], is_a: bool) -> None:
    """Explain the most likely cause of many roots: reversed pairs."""
    parents, children = {parent for parent, _ in edges}, {child for _, child in edges}
    if len(parents - children) > 1 and len(children - parents) == 1:
        first, hint = ("child", "leave out") if is_a else ("parent", "give")
        raise UserError(
            f"{path} has {len(parents - children)} roots and a single leaf when the first id of "
            f"each line is the {first}: {hint} --is_a"
        )


def _read_outline(path: Path, lines: list[tuple[int, str]], str_ids: bool) -> Taxonomy:
    """Read one node per line, indented by level, with an optional ``[label]`` before its name."""
    labels: list[str | None] = []
    names, edges = [], []
    above: list[int] = []  # path from the root to the current line
    for where, level, text in _outline_rows(path, lines):
        if level > len(above) or (level == 0 and above):
            what = "a second root" if level == 0 else "indented by more than one level"
            raise UserError(f"{path}, line {where}: {text!r} is {what}")
        match = _CLASS.fullmatch(text)
        label, name = match.groups() if match else (None, text)
        if level:
            edges.append((above[level - 1], len(labels)))
        above[level:] = [len(labels)]
        labels.append(label)
        names.append(name or str(label))
    if not labels:
        raise UserError(f"{path} has no nodes")
    _check_leaves(path, labels, names, edges)
    return Taxonomy(_plain(labels, str_ids), edges, names, str(path))


def _outline_rows(path: Path, lines: list[tuple[int, str]]) -> Iterator[tuple[int, int, str]]:
    """Yield line number, level and text of each node."""
    for where, line in lines:
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        indent = line[: len(line) - len(line.lstrip())]
        if indent.strip(" ") or len(indent) % _INDENT:
            raise UserError(
                f"{path}, line {where}: {text!r} is not indented by {_INDENT} spaces per level"
            )
        yield where, len(indent) // _INDENT, text


def _check_leaves(path: Path, labels: list, names: list[str], edges: list) -> None:
    inner = {parent for parent, _ in edges}
    for node, label in enumerate(labels):
        if label is None and node not in inner:
            raise UserError(
                f"{path}: {names[node]!r} has nothing below it and no [label] before its name"
            )


def _plain(labels: list[str | None], str_ids: bool) -> list[Label | None]:
    """Return the labels as numbers if all of them are."""
    given = [label for label in labels if label is not None]
    if str_ids or not all(re.fullmatch(r"-?[0-9]+", label) for label in given):
        return labels
    return [None if label is None else int(label) for label in labels]
