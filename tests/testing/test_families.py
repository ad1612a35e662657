"""Every shipped method on every family of backbones, and the table in the documentation that says so."""

from __future__ import annotations

from pathlib import Path

import pytest

from petl_bench.card_files import card_files
from petl_bench.registry import BACKBONES
from petl_bench.testing import capabilities
from petl_bench.testing.capabilities import Capability, as_markdown, contract, of_contract, refused
from petl_bench.testing.trials import FAMILIES
from tests.studies import Command

PAGE = Path(__file__).parents[2] / "docs" / "capabilities.md"
METHODS = sorted(card_files("methods"))
QUICK = {"prompt_shallow": {"tokens": 8}}
WAVEFORMS = [name for name in FAMILIES if name != "ast"]


PAIRS = [
    pytest.param(method, family, marks=() if at % len(WAVEFORMS) == its else pytest.mark.exhaustive)
    for at, method in enumerate(METHODS)
    for its, family in enumerate(WAVEFORMS)
]
"""Every method on a family, the families in turn; on the others where every test is run."""


@pytest.mark.parametrize(("method", "family"), PAIRS)
def test_shipped_methods_keep_the_contract_on_models_of_waveforms(method: str, family: str) -> None:
    found = of_contract(contract(method, family, QUICK.get(method)))
    assert found.verdict in ("works", "refuses"), found.reason


def test_every_family_of_checkpoints_is_tried() -> None:
    assert set(FAMILIES) == {name for name in BACKBONES.names() if BACKBONES.load(name).cls.model_type is not None}


def test_the_page_names_every_method_and_family_and_what_they_refuse() -> None:
    """Whether methods work is tested above and with the contract; run ``petl-bench check --all --markdown`` anew."""
    found = [refused(contract(method, family)) for method in METHODS for family in FAMILIES]
    pairs = [(method, family) for method in METHODS for family in FAMILIES]
    known = [of or Capability(*pair, "works") for of, pair in zip(found, pairs, strict=True)]
    assert PAGE.read_text("utf-8") == as_markdown(known)


def test_what_cannot_be_loaded_is_unknown_and_what_no_rule_forgives_breaks(tmp_path: Path) -> None:
    absent = of_contract(contract(str(tmp_path / "absent.py"), "wavlm"))
    assert (absent.verdict, absent.family) == ("unknown", "wavlm")
    page = as_markdown([absent, Capability("odd", "wavlm", "breaks", "a rule: why")])
    assert "- odd on wavlm breaks: a rule: why\n" in page


def test_the_command_tries_all_on_all(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capabilities, "card_files", lambda kind: {"linear": None})
    monkeypatch.setattr(capabilities, "FAMILIES", {"hubert": FAMILIES["hubert"], "wavlm": FAMILIES["wavlm"]})
    code, out, _ = command("check", "--all", "--markdown")
    assert code == 0
    assert out.splitlines()[-1] == "| linear | works | works |"
    code, _, err = command("check", "linear", "--family", "wav2vec3")
    assert code == 2
    assert "--family wav2vec3 (did you mean 'wav2vec2'?)" in err
    assert command("check")[0] == 2
    assert command("check", "linear", "--all")[0] == 2


def test_a_refusal_is_on_the_page_with_its_reason() -> None:
    found = of_contract(contract("bottleneck", "hubert", {"reduction_rate": 500}))
    assert found.verdict == "refuses"
    assert "hidden size 128: reduction_rate = 500 leaves no channel of hidden size 128" in found.reason
    assert f"- bottleneck on hubert refuses: {found.reason}\n" in as_markdown([found])
