"""Read the project's Markdown pages: fenced blocks, the commands in them, links and anchors."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`((?:[A-Z_]+=\S+ )*(?:\S*/)?python [^`]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_NAME = re.compile(r'<a name="([^"]+)">')


def pages() -> list[Path]:
    """Return all Markdown pages for readers."""
    folders = (".", "docs", "CUB-splits", "embeddings/taxonomies")
    return [page for folder in folders for page in sorted((ROOT / folder).glob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    """Return the contents of the fenced blocks of a language, without their indentation."""
    return [
        re.sub(f"^{indentation}", "", content, flags=re.MULTILINE)
        for indentation, found, content in _FENCED.findall(page.read_text())
        if found == language
    ]


def block(page: str, containing: str) -> str:
    """Return the one shell or Python block of a page that contains a text."""
    path = ROOT / page
    found = [b for b in blocks(path, "shell") + blocks(path, "python") if containing in b]
    assert len(found) == 1, f"{page} has {len(found)} blocks with {containing!r}"
    return found[0]


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words of each command line in the page's shell blocks and in its inline code."""
    text = _FENCED.sub("", page.read_text())
    lines = [line for b in blocks(page, "shell") for line in b.replace("\\\n", " ").splitlines()]
    for line in lines + _INLINE.findall(text):
        words = shlex.split(line, comments=True)
        if words:
            yield words


def links(page: Path) -> list[str]:
    """Return the targets of all links and pictures of a page that are not on the web."""
    text = _FENCED.sub("", page.read_text())
    return [target for target in _LINK.findall(text) if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives a page's headings, and those it sets itself."""
    text = _FENCED.sub("", page.read_text())
    titles = [re.sub(r"[^\w\- ]", "", title.lower()) for title in _HEADING.findall(text)]
    return {title.replace(" ", "-") for title in titles} | set(_NAME.findall(text))


def named_code(page: Path) -> list[tuple[str, Path]]:
    """Return name and file of each link like [`train`](../training/loop.py)."""
    found = re.findall(r"\[`(\w+)`\]\(([^)]+\.py)\)", page.read_text())
    return [(name, (page.parent / file).resolve()) for name, file in found]


def definitions(file: Path) -> set[str]:
    """Return the names of functions, classes and variables at the top of a Python file."""
    names = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        for target in getattr(node, "targets", [getattr(node, "target", None)]):
            names.update([target.id] if isinstance(target, ast.Name) else [])
    return names
