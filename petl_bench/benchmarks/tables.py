"""CSV tables that data sets come with."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

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


def numbered_classes(table: Path, pairs: set[tuple[str, str]]) -> dict[str, int]:
    """The number of every class, from pairs of class and number. Raises UserError unless each has one of its own."""
    try:
        numbers = {name: int(number) for name, number in pairs}
    except ValueError as error:
        raise UserError(f"{table}: class numbers must be whole numbers: {error}") from error
    if not len(pairs) == len(numbers) == len(set(numbers.values())):
        raise UserError(f"{table}: every class needs one number of its own")
    return numbers


def fold_number(table: Path, text: str) -> int:
    """A fold as a table has it. Raises UserError where it is no whole number."""
    try:
        return int(text)
    except ValueError as error:
        raise UserError(f"{table}: folds must be whole numbers: {error}") from error
