"""The gated Conformer adapter: it starts as the plain sum, costs next to nothing, and its gates go on record."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import ASTConfig

from petl_bench.backbones.ast import AST
from petl_bench.backbones.mini import Mini
from petl_bench.backbones.sites import Geometry
from petl_bench.leaderboard.board import read_tables
from petl_bench.leaderboard.figures.gates import draw, gates_of
from petl_bench.leaderboard.figures.style import Wanted
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.conformer_gated import ConformerGated, GatedConformerAdapter
from petl_bench.methods.placement import Placement
from petl_bench.training.readings import Readings
from tests.studies import Study

BASE = AST.description(ASTConfig(), []).geometry
MINI = Mini.describe(None).geometry
FEATURES = torch.randn(3, 100, 128, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("granularity", ["token", "clip"])
@pytest.mark.parametrize("location", ["ffn", "both"])
def test_it_starts_as_the_plain_sum(granularity: str, location: str) -> None:
    place = Placement.model_validate({"location": location})
    plain, gated = Mini.load(None, 100), Mini.load(None, 100)
    for backbone, cls, settings in ((plain, Conformer, {}), (gated, ConformerGated, {"gate": granularity})):
        torch.manual_seed(0)
        cls(cls.Config(reduction_rate=16, placement=place, **settings)).attach(backbone)  # type: ignore[arg-type]
    with torch.no_grad():
        assert torch.equal(gated.tokens(FEATURES), plain.tokens(FEATURES))


@pytest.mark.parametrize(("geometry", "rate"), [(BASE, 96), (BASE, 32), (MINI, 16)])
def test_a_gate_adds_less_than_one_percent(geometry: Geometry, rate: int) -> None:
    plain = Conformer(Conformer.Config(reduction_rate=rate)).expected_parameters(geometry, 0)
    gated = ConformerGated(ConformerGated.Config(reduction_rate=rate)).expected_parameters(geometry, 0)
    assert plain < gated < 1.01 * plain


def test_gates_of_tokens_and_of_clips_are_what_the_formula_says() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(2, 5, 16), torch.randn(2, 5, 16)
    for granularity in ("token", "clip"):
        adapter = GatedConformerAdapter(16, 4, 3, "none", granularity).eval()  # type: ignore[arg-type]
        torch.nn.init.normal_(adapter.weigh.weight)
        signal = adapter.down(x) if granularity == "token" else adapter.down(x).mean(1, keepdim=True)
        gate = 2 / (1 + torch.exp(-adapter.weigh(signal)))
        with torch.no_grad():
            torch.testing.assert_close(adapter.mixed(x, y), (2 - gate) * y + gate * adapter(x))
        torch.testing.assert_close(adapter.gate, gate.expand(2, 5, 1).mean((1, 2)))


@pytest.mark.parametrize("wrong", [{"form": "sequential"}, {"position": "after"}, {"residual": True}])
def test_only_parallel_branches_can_be_weighed(wrong: dict[str, object]) -> None:
    method = ConformerGated(ConformerGated.Config(placement=Placement.model_validate(wrong)))
    with pytest.raises(ValueError, match="two parallel branches"):
        method.check(BASE)


def test_readings_are_means_by_class() -> None:
    method = ConformerGated(ConformerGated.Config())
    adapter = GatedConformerAdapter(16, 4, 3, "none", "clip")
    method._adapters = {"gate layer0_ffn": adapter}
    readings = Readings(method)
    for gates in ([0.5, 1.5], [1.0]):
        adapter.gate = torch.tensor(gates)
        readings.take()
    assert readings.by_class(torch.tensor([0, 2, 0]).numpy(), 3) == {"gate layer0_ffn": (0.75, None, 1.5)}


def test_gates_of_a_run_go_on_record_and_are_drawn(tmp_path: Path) -> None:
    Study(tmp_path).run(methods=("conformer_gated", "linear"))
    (table,), _ = read_tables(tmp_path)
    by_method = {row.name.text: row for row in table.rows}
    names, gates = gates_of(by_method["conformer_gated"].runs)
    assert names == [f"layer{layer}_ffn" for layer in range(6)]
    assert gates.shape == (6, 10)
    assert ((gates > 0) & (gates < 2)).all()
    assert [name for name, _ in draw(table, Wanted("synthetic"))] == ["conformer_gated"]
