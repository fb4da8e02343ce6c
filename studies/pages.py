"""Accuracies in the README and in docs: blocks that are generated from the stored results."""

import re
from pathlib import Path

from storage.files import replacing
from studies.claims import claims_table
from studies.report import comparison, table
from studies.results import STORED, read_runs, runs_of
from studies.study import load
from utils import read_text

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")

CLAIMS = "claims"
_BLOCK = re.compile(r"(<!-- study\.py report (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def update_pages() -> None:
    """Write the blocks of all pages anew.

    Raises:
        UserError: a page cannot be read or written.
    """
    for page in PAGES:
        text = read_text(page)
        if (new := rendered(text)) != text:
            with replacing(page) as temporary:
                temporary.write_text(new)


def rendered(text: str) -> str:
    """Return a page with what its blocks have to say.

    A block stands between ``<!-- study.py report NAME -->`` and ``<!-- end -->``. NAME is that of
    a study, or ``claims``.
    """
    return _BLOCK.sub(lambda found: f"{found[1]}{_content(found[2])}{found[3]}", text)


def _content(name: str) -> str:
    """Return the tables of a study's reduced scale, or of the paper's claims."""
    if name == CLAIMS:
        return "\n" + "\n".join(claims_table()) + "\n\n"
    runs, lines = read_runs(STORED / name), []
    for part in load(name).reduced:
        of_part = runs_of(runs, part.folder)
        lines += [f"{part.title}:", "", *table(part, of_part), "", *comparison(part, of_part)]
    return "\n" + "\n".join(lines) + "\n"
