"""Where adapters sit: every placement against the formula of its layer, written out once more here."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from petl_bench.backbones.mini import Mini
from petl_bench.methods.adapter import AdapterMethod
from petl_bench.methods.bottleneck import Bottleneck
from petl_bench.methods.conformer import Conformer
from petl_bench.methods.placement import Placement, select_layers
from petl_bench.switches import Switches

PLACES = list(
    product(
        ("ffn", "mhsa", "both"),
        (
            ("parallel", "before"),
            ("parallel", "after"),
            ("sequential", None),
            ("sequential", "before"),
            ("sequential", "after"),
        ),
        (False, True),
    )
)
FEATURES = torch.randn(2, 100, 128, generator=torch.Generator().manual_seed(0))


@cache
def mini() -> Mini:
    return Mini.load(None, frames=100)  # type: ignore[return-value]


def sublayer(place: Placement, module: Any, adapter: Any, n: Tensor) -> Tensor:
    """What the residual stream gains, by the released code's formulas; ``module`` and ``adapter`` are functions."""
    skip = (lambda z: z) if place.residual else torch.zeros_like
    match place.form, place.position:
        case "parallel", "before":
            return module(n) + adapter(n) + skip(n)
        case (("parallel" | "sequential"), "after"):
            return module(n) + adapter(module(n)) + skip(module(n))
        case "sequential", None:
            return adapter(module(n)) + skip(module(n))
        case "sequential", "before":
            y = adapter(n) + skip(n)
            return module(y) + y
    raise AssertionError(place)


def by_formula(backbone: Mini, method: AdapterMethod, place: Placement, layers: tuple[int, ...]) -> Tensor:
    """Tokens of an adapted backbone whose hooks are taken off, with its adapters put in by hand."""
    model, adapters = backbone.model, dict(backbone.attachments.items())
    for handle in backbone._handles:
        handle.remove()
    label = type(method).__name__.lower()

    def adapter(layer: int, location: str) -> nn.Module | None:
        return adapters.get(f"layer{layer}_{location}_{label}")

    h = model.embeddings(FEATURES)
    for number, layer in enumerate(model.layers):
        for location, norm, module in (
            ("mhsa", layer.layernorm_before, lambda x, layer=layer: layer.attention(x)[0]),
            ("ffn", layer.layernorm_after, layer.mlp),
        ):
            found = adapter(number, location)
            assert (found is not None) == (number in layers and place.location in (location, "both"))
            h = h + (module(norm(h)) if found is None else sublayer(place, module, found, norm(h)))
    normed: Tensor = model.layernorm(h)
    return normed


@pytest.mark.parametrize(("location", "form", "residual"), PLACES)
@pytest.mark.parametrize("family", [Bottleneck, Conformer])
def test_tokens_follow_the_formula(
    family: type[AdapterMethod], location: str, form: tuple[str, str | None], residual: bool
) -> None:
    place = Placement(location=location, form=form[0], position=form[1], residual=residual, layers=(1, 4))  # type: ignore[arg-type]
    method = family(family.Config(reduction_rate=16, placement=place), Switches(init="released"))  # type: ignore[arg-type]
    backbone = mini()
    torch.manual_seed(0)
    method.attach(backbone)
    try:
        with torch.no_grad():
            ours = backbone.tokens(FEATURES)
            torch.testing.assert_close(ours, by_formula(backbone, method, place, (1, 4)), atol=1e-5, rtol=1e-5)
        trained = {name for name in backbone.roles if "layernorm" in name and ".layers." in name}
        norms = {"mhsa": ["layernorm_before"], "ffn": ["layernorm_after"]}.get(
            location, ["layernorm_before", "layernorm_after"]
        )
        assert trained == {
            f"model.layers.{at}.{n}.{kind}" for at in (1, 4) for n in norms for kind in ("weight", "bias")
        }
        assert "model.layernorm.weight" in backbone.roles
    finally:
        backbone.detach()


@pytest.mark.parametrize(("location", "form", "residual"), PLACES)
def test_identity_is_claimed_where_zeros_change_nothing(
    location: str, form: tuple[str, str | None], residual: bool
) -> None:
    place = Placement(location=location, form=form[0], position=form[1], residual=residual)  # type: ignore[arg-type]
    method = Bottleneck(Bottleneck.Config(placement=place))
    backbone = mini()
    with torch.no_grad():
        before = backbone.tokens(FEATURES)
        method.attach(backbone)
        same = torch.equal(before, backbone.tokens(FEATURES))
    backbone.detach()
    assert same == method.starts_as_identity()


def test_norms_stay_frozen_where_the_switch_says_so() -> None:
    method = Conformer(Conformer.Config(reduction_rate=16), Switches(train_norms=False))
    backbone = mini()
    method.attach(backbone)
    count = method.expected_parameters(backbone.geometry, 0)
    roles = backbone.parameters_by_role()
    backbone.detach()
    assert (roles["norm"], roles["adapter"]) == (0, count)


def test_aliases_and_the_default_position() -> None:
    assert Placement(location="pfeiffer") == Placement()  # type: ignore[arg-type]
    assert Placement(location="houlsby").location == "both"  # type: ignore[arg-type]
    assert Placement().position == "before"
    assert Placement(form="sequential").position is None
    for place in (Placement(), Placement(form="sequential", layers=(3, 1, 3)), Placement(layers="every:2")):
        assert Placement.model_validate_json(place.model_dump_json()) == place


@pytest.mark.parametrize(
    ("layers", "chosen"),
    [
        ("all", (0, 1, 2, 3, 4, 5)),
        ("first:2", (0, 1)),
        ("last:2", (4, 5)),
        ("every:2", (0, 2, 4)),
        ([5, 0, 5], (0, 5)),
        (3, (3,)),
    ],
)
def test_layers_are_chosen_by_name_or_number(layers: Any, chosen: tuple[int, ...]) -> None:
    assert select_layers(Placement(layers=layers).layers, 6) == chosen


@pytest.mark.parametrize("layers", ["some", "first:0", "last:", [], [-1], "every:-1"])
def test_other_layers_are_refused(layers: Any) -> None:
    with pytest.raises(ValidationError, match=r"'all', a list|at least one layer"):
        Placement(layers=layers)


@pytest.mark.parametrize(("layers", "message"), [((0, 6), "0 to 5"), ("last:7", "has 6 layers")])
def test_layers_that_are_not_there_are_refused(layers: Any, message: str) -> None:
    method = Bottleneck(Bottleneck.Config(placement=Placement(layers=layers)))
    with pytest.raises(ValueError, match=message):
        method.check(mini().geometry)
