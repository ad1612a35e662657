"""CSV tables that data sets come with, and the layout that two of them share."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from petl_bench.benchmarks.dataset import Clip, FileLayout, MissingDataError
from petl_bench.errors import UserError
from petl_bench.files import read_text


def read_rows(table: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV table with a header. Raises UserError unless all ``columns`` stand in every row."""
    try:
        rows = list(csv.DictReader(read_text(table).splitlines()))
    except csv.Error as error:
        raise UserError(f"{table} is not a CSV table: {error}") from error
    if not rows or any(row.get(column) is None for row in rows for column in columns):
        raise UserError(f"{table}: needs rows with the columns {', '.join(columns)}")
    return rows


def fold_number(table: Path, text: str) -> int:
    """A fold as a table has it. Raises UserError where it is no whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise UserError(f"{table}: folds must be whole numbers: {error}") from error


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
        return [Clip(row[file], row[name], row[source], fold_number(table, row[fold])) for row in rows]

    def class_order(self, labels: set[str]) -> list[str]:
        """In the order of the data set's own numbers."""
        return sorted(labels, key=self._number.__getitem__)


def _class_numbers(table: Path, pairs: set[tuple[str, str]]) -> dict[str, int]:
    """The number of every class, from pairs of class and number. Raises UserError unless each has one of its own."""
    try:
        numbers = {name: int(number) for name, number in pairs}
    except ValueError as error:
        raise UserError(f"{table}: class numbers must be whole numbers: {error}") from error
    if not len(pairs) == len(numbers) == len(set(numbers.values())):
        raise UserError(f"{table}: every class needs one number of its own")
    return numbers
