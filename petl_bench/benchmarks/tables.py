"""CSV tables that data sets come with, and the layout that two of them share."""

from __future__ import annotations

import csv
import io
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from petl_bench.benchmarks.dataset import Clip, FileLayout, MissingDataError
from petl_bench.errors import UserError
from petl_bench.files import read_text

LONGEST = 500
"""Characters of a path, a label or a group."""


def read_rows(table: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV table with a header, whose names may have spaces around.

    Raises UserError unless all ``columns`` stand in every row, every column has a name of its own, and no row has more
    cells than the header.
    """
    try:
        reader = csv.DictReader(io.StringIO(read_text(table), newline=""))
        names = [name.strip() for name in reader.fieldnames or ()]
        reader.fieldnames = names
        rows: list[dict[str, str]] = list(reader)
    except csv.Error as error:
        raise UserError(f"{table} is not a CSV table: {error}") from error
    if twice := [name for name in names if name and names.count(name) > 1]:
        raise UserError(f"{table}: two columns are called {shown(twice[0])}")
    if not rows or not set(columns) <= set(names):
        raise UserError(f"{table}: needs rows with the columns {', '.join(columns)}")
    for number, row in enumerate(rows, start=1):
        if lacking := [column for column in columns if row[column] is None]:
            raise UserError(f"{table}: row {number} ends before its {lacking[0]}")
        if None in row:
            raise UserError(f"{table}: row {number} has more cells than the header: put a cell with commas into quotes")
    return rows


def whole_number(table: Path, what: str, text: str) -> int:
    """A whole number of at most nine digits. Raises UserError, ``what`` (in the plural) named."""
    if re.fullmatch(r"\s*[+-]?[0-9]{1,9}\s*", text) is None:
        raise UserError(f"{table}: {what} must be whole numbers, not {shown(text)}")
    return int(text)


def name_in(table: Path, column: str, text: str) -> str:
    """A cell that names something, without spaces around. Raises UserError where it is no name a person would give."""
    text = text.strip()
    if len(text) > LONGEST:
        raise UserError(f"{table}: {column} {shown(text)} is longer than {LONGEST} characters")
    if any(unicodedata.category(character) in ("Cc", "Zl", "Zp") for character in text):
        raise UserError(f"{table}: {column} {shown(text)} holds line breaks or control characters")
    return text


def shown(text: str) -> str:
    """A cell in a message: quoted, in one line, and not all of it where it is long."""
    return repr(text if len(text) <= 80 else text[:77] + "...")


class FoldTable(FileLayout):
    """A data set with official folds whose one table numbers its classes; clips of one source form a group.

    ``table`` is its path below the folder; ``columns`` hold a clip's file, fold, class number, class and source.
    """

    table: ClassVar[str]
    columns: ClassVar[tuple[str, str, str, str, str]]

    def scan(self) -> list[Clip]:
        table = self.folder / self.table
        if not table.is_file():
            raise MissingDataError(f"no {self.table} in {self.folder}")
        file, fold, number, name, source = self.columns
        rows = read_rows(table, self.columns)
        self._number = _class_numbers(table, {(row[name], row[number]) for row in rows})
        return [
            Clip(
                name_in(table, file, row[file]),
                name_in(table, name, row[name]),
                name_in(table, source, row[source]),
                whole_number(table, "folds", row[fold]),
            )
            for row in rows
        ]

    def class_order(self, labels: set[str]) -> list[str]:
        """In the order of the data set's own numbers."""
        return sorted(labels, key=self._number.__getitem__)


def _class_numbers(table: Path, pairs: set[tuple[str, str]]) -> dict[str, int]:
    """The number of every class, from pairs of class and number. Raises UserError unless each has one of its own."""
    numbers = {name.strip(): whole_number(table, "class numbers", number) for name, number in pairs}
    if not len(pairs) == len(numbers) == len(set(numbers.values())):
        raise UserError(f"{table}: every class needs one number of its own")
    return numbers
