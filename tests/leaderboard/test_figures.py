"""Figures show the numbers of their tables: counted and compared where they are drawn."""

from __future__ import annotations

import re
import warnings
from pathlib import Path

import numpy as np
import pytest
from matplotlib.container import BarContainer, ErrorbarContainer
from sklearn.metrics import confusion_matrix

from petl_bench.errors import UserError
from petl_bench.leaderboard.board import read_tables
from petl_bench.leaderboard.differences import differences as differences_of
from petl_bench.leaderboard.figures import confusion, convergence, differences, parameters, runs
from petl_bench.leaderboard.figures.style import Wanted, save
from petl_bench.leaderboard.report import pareto_front, report
from petl_bench.leaderboard.tables import Table
from petl_bench.results import ResultsTree
from tests.leaderboard.trees import plant, study_of

ODD = r"a_b $x_1^2$ \alpha <b> & {c} %"


@pytest.fixture
def table(tmp_path: Path) -> Table:
    plant(tmp_path / "results", *study_of({"linear": 0.3, "lora": 0.6, "full": 0.62, ODD: 0.5}, seeds=2))
    return read_tables(tmp_path / "results")[0][0]


def test_scores_against_parameters(table: Table) -> None:
    ((_, figure),) = parameters.draw(table, Wanted())
    drawn = [its for its in figure.axes[0].containers if isinstance(its, ErrorbarContainer)]
    points = [list(np.ravel(its.lines[0].get_xydata())) for its in drawn]  # type: ignore[union-attr]
    rows = report(table)["rows"]
    assert points == [pytest.approx([row["adapted_parameters"], 100 * row["score"]]) for row in rows]
    assert {"linear", "lora"} <= {text.get_text() for text in figure.axes[0].texts}


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([(0.5, 10), (0.6, 20), (0.7, 30)], [True, True, True]),
        ([(0.5, 10), (0.5, 20), (0.4, 10)], [True, False, False]),
        ([(0.5, 10), (0.5, 10)], [True, True]),
        ([(0.5, 0), (0.9, 5), (0.8, 6), (0.9, 4)], [True, False, False, True]),
    ],
)
def test_the_front_is_what_nothing_beats_on_both_sides(points: list[tuple[float, int]], expected: list[bool]) -> None:
    rows = [{"incomplete": "", "score": score, "adapted_parameters": count} for score, count in points]
    assert pareto_front(rows) == expected
    assert pareto_front([*rows, {"incomplete": "1/5 folds", "score": 1.0, "adapted_parameters": 0}])[-1] is False


@pytest.mark.parametrize("baseline", ["linear", None])
def test_the_forest_has_every_difference_with_its_interval(table: Table, baseline: str | None) -> None:
    ((_, figure),) = differences.draw(table, Wanted(baseline=baseline, margin=2.0))
    panel, words = figure.axes
    drawn = [its for its in panel.containers if isinstance(its, ErrorbarContainer)]
    rows = differences_of(table, baseline, 0.02)
    assert len(drawn) == len(rows) == len(words.texts) == (3 if baseline else 6)
    for its, row in zip(drawn, sorted(rows, key=lambda row: row["difference"]), strict=True):
        (x, _) = its.lines[0].get_xydata()[0]  # type: ignore[union-attr, index]
        ends = its.lines[2][0].get_segments()[0][:, 0]
        assert (x, *ends) == pytest.approx((100 * row["difference"], 100 * row["low"], 100 * row["high"]))


@pytest.mark.parametrize("kind", [parameters, differences, runs, convergence])
def test_long_names_and_many_methods_are_drawn_without_a_warning(kind: object, tmp_path: Path) -> None:
    long = "conformer (placement.location = both, placement.layers = last:4, kernel_size = 31, reduction_rate = {})"
    plant(tmp_path / "results", *study_of({long.format(at): 0.5 for at in range(9)}, clips=10, seeds=1))
    tree = ResultsTree(tmp_path / "results")
    (table,) = read_tables(tree.root)[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _, figure in kind.draw(table, Wanted("a title " * 30, tree.run_folders())):  # type: ignore[attr-defined]
            save(figure, tmp_path, "figure")


def test_lines_of_nine_methods_differ() -> None:
    looks = [tuple(convergence._look(at).items()) for at in range(9)]
    assert len(set(looks)) == 9
    assert len({tuple(runs._look(fold).items()) for fold in range(40)}) == 40


def test_nothing_to_compare_is_a_mistake(tmp_path: Path) -> None:
    plant(tmp_path / "results", *study_of({"linear": 0.3}))
    with pytest.raises(UserError, match="no two complete methods"):
        list(differences.draw(read_tables(tmp_path / "results")[0][0], Wanted()))


def test_a_point_per_run_under_the_name_of_its_method(table: Table) -> None:
    ((_, figure),) = runs.draw(table, Wanted())
    (panel,) = figure.axes
    strips = [line for line in panel.lines if line.get_marker() in "os^Dv"]
    assert len(strips) == 4 * 5 * 2
    names = [label.get_text() for label in panel.get_yticklabels()]
    assert names[-1] == report(table)["rows"][0]["method"]


def test_confusion_is_that_of_scikit_learn(table: Table) -> None:
    drawn = dict(confusion.draw(table, Wanted()))
    for row in table.rows:
        targets = np.concatenate([run.clips.targets for run in row.runs])
        predicted = np.concatenate([run.predicted for run in row.runs])
        expected = confusion_matrix(targets, predicted, labels=range(10))
        assert (confusion.confusion(row) == expected).all()
        matrix, bars = drawn[row.name.text].axes[:2]
        shares = 100 * expected / np.maximum(1, expected.sum(axis=1))[:, None]
        assert np.asarray(matrix.images[0].get_array()) == pytest.approx(shares)
        (recall,) = (its for its in bars.containers if isinstance(its, BarContainer))
        assert [bar.get_width() for bar in recall] == pytest.approx(list(np.diag(shares)))
        assert matrix.get_yticklabels()[0].get_text() == "noise_falling"


@pytest.mark.parametrize("kind", [parameters, differences, runs, confusion])
def test_names_are_drawn_as_they_are_and_files_repeat(table: Table, kind: object, tmp_path: Path) -> None:
    written = []
    for at in range(2):
        for number, (_, figure) in enumerate(kind.draw(table, Wanted())):  # type: ignore[attr-defined]
            written.append(save(figure, tmp_path / str(at), f"figure-{number}"))
    half = len(written) // 2
    for first, second in zip(written[:half], written[half:], strict=True):
        assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    texts = "".join(re.sub(r"&#?\w+;", "", path.read_text("utf-8")) for pair in written for path in pair[1:])
    assert "$x_1^2$" in texts
