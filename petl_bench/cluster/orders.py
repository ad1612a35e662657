"""What the array tasks of a submission read: the runs of each, what they are trained with, and where to."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from petl_bench.cluster.submission import Entry
from petl_bench.execution import Execution
from petl_bench.files import write_atomically
from petl_bench.results import ResultsTree
from petl_bench.work import Task
from petl_bench.workbench import Opening


class Orders(BaseModel):
    """What all array tasks work with, and the runs of each."""

    opening: Opening
    results: Path
    execution: Execution
    parts: list[list[Task]]

    def left_of(self, part: int, tree: ResultsTree) -> list[Task]:
        """The runs of a part that were neither recorded nor have failed since."""
        folders, left = tree.run_folders(), []
        for task in self.parts[part]:
            entry = entry_of(task)
            if not (entry.is_recorded(folders.get(entry.key)) or entry.has_failed(tree)):
                left.append(task)
        return left


def entry_of(task: Task) -> Entry:
    """What `status` knows of a task."""
    return Entry(key=task.run.key, title=task.run.title, replaces=task.replaces, failures=task.failures)


def write_orders(folder: Path, orders: Orders) -> None:
    write_atomically(folder / "orders.json", orders.model_dump_json().encode())


def read_orders(folder: Path) -> Orders:
    return Orders.model_validate_json((folder / "orders.json").read_bytes())
