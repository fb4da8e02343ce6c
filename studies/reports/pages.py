"""Accuracies in the README and in docs: blocks that are generated from the stored results."""

import re
from pathlib import Path

from storage.files import replacing
from studies.choice import outcome
from studies.reports.claims import claims_table
from studies.reports.overview import overview
from studies.reports.report import part_tables
from studies.results import STORED, Runs, read_runs, runs_of
from studies.study import Cell, Part, load
from sweeping.grid import PROTOCOLS
from utils import read_text

ROOT = Path(__file__).parents[2]
PAGES = (
    ROOT / "README.md",
    *(ROOT / "docs" / f"{name}.md" for name in ("results", "open-sets", "simplex-targets")),
)

BLOCK = re.compile(r"(<!-- study\.py report (\S+) -->\n).*?(<!-- end -->)", re.DOTALL)
"""Generated block of a page, see ``rendered``."""


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
    """Return a page with its blocks generated anew.

    A block stands between ``<!-- study.py report NAME -->`` and ``<!-- end -->``. NAME is that of
    a study, or ``claims`` or ``overview``.
    """
    return BLOCK.sub(lambda found: f"{found[1]}{_content(found[2])}{found[3]}", text)


def _content(name: str) -> str:
    lines = _WHOLE[name]() if name in _WHOLE else _results(name)
    return "\n" + "\n".join(lines).rstrip("\n") + "\n\n"


def _results(name: str) -> list[str]:
    """Return the tables of a study's reduced scale, as far as it has been run."""
    study, runs = load(name), read_runs(STORED / name)
    lines, shown = [], set()
    for part in study.reduced:
        of_part = runs_of(runs, part)
        new = {cell: _reached(part, cell, of_part) for cell in part.cells()}
        if set().union(*new.values()) - shown:
            cells = [cell for cell, reached in new.items() if reached]
            lines += [f"{part.title}:", "", *part_tables(study, part, of_part, cells)]
        shown.update(*new.values())
    return [study.reduced_text, "", *(lines or ["No results yet."])]


def _reached(part: Part, cell: Cell, runs: Runs) -> set[tuple]:
    """Return what a row of the table shows, to be compared with rows of other tables."""
    found = {protocol: outcome(part, cell, protocol, runs) for protocol in PROTOCOLS}
    return {
        (part.folder, *cell, protocol, side.rate, side.diverged)
        for protocol, side in found.items()
        if side.values or side.diverged
    }


_WHOLE = {"claims": claims_table, "overview": overview}
