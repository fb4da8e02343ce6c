"""The argument parser and argument types of all commands; imports nothing heavy."""

import argparse
import difflib
import itertools
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from utils import UsageError, printable

_LARGEST = 2**31 - 1  # of counts


class Parser(argparse.ArgumentParser):
    """Parser that reports errors in one line, with exit status 2."""

    def parse_known_args(
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> tuple[argparse.Namespace, list[str]]:
        """Parse as argparse does, but report unknown options before missing ones."""
        args = sys.argv[1:] if args is None else list(args)
        if not {"-h", "--help"} & {*args}:
            self._check_names([*itertools.takewhile(lambda text: text != "--", args)])
        return super().parse_known_args(args, namespace)

    def _check_names(self, args: Sequence[str]) -> None:
        """Refuse unknown options, and repeated list options, which argparse would accept."""
        known = self._option_string_actions
        given = Counter(text.split("=")[0] for text in args)
        for text in args:
            name = text.split("=")[0]
            # An argument with a space may be a value.
            if name.startswith("--") and name not in known and " " not in text:
                longer = [option for option in known if option.startswith(name)]
                close = longer or difflib.get_close_matches(name, known, 1, cutoff=0.75)
                hint = f"; did you mean {close[0]}?" if close else ""
                self.error(f"unrecognized arguments: {text}{hint}")
        for name, action in known.items():
            extends = isinstance(action, argparse._ExtendAction)
            if action.nargs == "+" and given[name] > 1 and not extends:
                times = given[name]
                self.error(f"argument {name}: given {times} times; give it once with all values")

    def error(self, message: str) -> None:
        self.exit(UsageError.status, f"{self.prog}: error: {printable(message)} (see --help)\n")


class _Help(argparse.ArgumentDefaultsHelpFormatter):
    """Formatter that adds defaults, unless there is none or the text mentions it.

    Arguments without a ``metavar`` are named after their type.
    """

    def _get_help_string(self, action: argparse.Action) -> str | None:
        mentioned = "(default" in (action.help or "")
        absent = action.default is None or action.default is False or action.default == []
        return action.help if mentioned or absent else super()._get_help_string(action)

    def _get_default_metavar_for_optional(self, action: argparse.Action) -> str:
        names = {user_path: "FILE", fraction: "F", open_fraction: "F"}
        names |= dict.fromkeys((positive, at_least_two, non_negative_int, seed), "N")
        return names.get(action.type) or super()._get_default_metavar_for_optional(action)


def build_parser(description: str) -> Parser:
    """Build a parser whose ``--help`` shows the defaults."""
    return Parser(
        description=description,
        formatter_class=_Help,
        # With abbreviations, a typo could select another option.
        allow_abbrev=False,
    )


def add_files(
    group, option: str, text: str, metavar: str | None = None, required: bool = False
) -> None:
    """Add an option that takes one file per model."""
    group.add_argument(
        option,
        type=user_path,
        nargs="+",
        action="extend",
        required=required,
        metavar=metavar,
        help=text,
    )


def add_labels(group, text: str) -> None:
    """Add the option ``--label``, one name per model."""
    group.add_argument("--label", nargs="+", action="extend", metavar="NAME", help=text)


def add_report_options(group, plot: str, progress: bool = True) -> None:
    """Add the options for the files of an evaluation; ``plot`` is the help text of its plot."""
    group.add_argument("--csv", type=user_path, help="write all metrics, .csv")
    group.add_argument("--plot", type=user_path, help=plot)
    add_overwrite(group, progress)


def add_overwrite(group, progress: bool = True) -> None:
    """Add ``--overwrite`` and, for commands that show their progress, ``--no_progress``."""
    group.add_argument("--overwrite", action="store_true", help="replace existing files")
    if progress:
        text = "no progress bar on terminals"
        group.add_argument("--no_progress", action="store_true", help=text)


def positive(text: str) -> int:
    """Parse an integer from 1 that fits into 32 bits."""
    return _number(text, int, 1, _LARGEST)


def at_least_two(text: str) -> int:
    """Parse an integer from 2."""
    return _number(text, int, 2)


def non_negative_int(text: str) -> int:
    """Parse an integer from 0 that fits into 32 bits."""
    return _number(text, int, 0, _LARGEST)


def seed(text: str) -> int:
    """Parse a seed that all random generators accept, from 0 to 2**32 - 1."""
    return _number(text, int, 0, 2**32 - 1)


def non_negative_float(text: str) -> float:
    """Parse a finite number from 0."""
    return _number(text, float, 0)


def positive_float(text: str) -> float:
    """Parse a finite number above 0."""
    value = _number(text, float, 0)
    if value < sys.float_info.min:  # smaller ones count as 0 in TensorFlow's threads
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def finite_float(text: str) -> float:
    """Parse a finite number."""
    return _number(text, float, -sys.float_info.max)


def fraction(text: str) -> float:
    """Parse a number from 0 to 1."""
    return _number(text, float, 0, 1)


def open_fraction(text: str) -> float:
    """Parse a number between 0 and 1, neither of them."""
    value = fraction(text)
    if value in (0, 1):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0 and below 1")
    return value


def below_one(text: str) -> float:
    """Parse a number from 0, less than 1."""
    value = fraction(text)
    if value == 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 to less than 1")
    return value


def _number(text: str, kind: type, low: float, high: float = sys.float_info.max) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = None
    if value is None or not low <= value <= high:
        name = "an integer" if kind is int else "a number"
        limits = f" from {low} to {high}"
        if high == sys.float_info.max or (high == _LARGEST and (value is None or value < low)):
            limits = "" if low == -high else f" from {low}"
        raise argparse.ArgumentTypeError(f"{text!r} is not {name}{limits}")
    return value


def user_path(text: str) -> Path:
    """Convert an argument to a path, expanding ``~``, which shells leave in ``--option=~/file``.

    For users without a home folder, ``~`` is kept.
    """
    return Path(os.path.expanduser(text))


def refuse(args: argparse.Namespace, options: Iterable[str], because: str) -> None:
    """Raise UsageError if one of the options is given, saying why it would have no effect."""
    for option in options:
        if is_given(args, option):
            raise UsageError(f"--{option} {because}")


def is_given(args: argparse.Namespace, option: str) -> bool:
    """Return whether an option is given that is otherwise None or False; 0 is a value."""
    value = getattr(args, option)
    return value is not None and value is not False


def known(check: Callable[[str], object]) -> Callable[[str], str]:
    """Return an argument type that reports the UsageError that ``check`` raises for wrong text."""

    def convert(text: str) -> str:
        try:
            check(text)
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from error
        return text

    return convert
