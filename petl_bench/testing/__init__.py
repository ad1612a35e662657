"""MethodContract: what every method must keep to, as tests that a contributor inherits and ``petl-bench check`` runs.

from petl_bench.testing import MethodContract

class TestScale(MethodContract):
    method = "scale.py:Scale"  # or the class, a card's name, the name of an entry point
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar
from unittest import SkipTest

import torch
from torch import Tensor

from petl_bench.backbones.base import Backbone
from petl_bench.errors import one_line
from petl_bench.lookup import find_method
from petl_bench.methods.base import Method
from petl_bench.settings import resolve_settings
from petl_bench.switches import Switches
from petl_bench.testing.trials import (
    CLASSES,
    CLIPS,
    FAMILIES,
    Family,
    empty_memory_is_nan,
    in_best_precision,
    is_poisoned,
    logits_of,
    refusal,
    saved_and_loaded,
    take_steps,
    trained_outside,
)

FRAMES = 100
LENGTHS = (64, 100, 250, 512)


@dataclass(frozen=True)
class Finding:
    """What came of one rule: ``ok``, ``violated`` or ``not applicable``, and why."""

    rule: str
    outcome: str
    detail: str = ""


class MethodContract:
    """The rules, one test each. A subclass names its ``method``, and may set its ``settings`` and ``switches``.

    Rules run on the bundled ``mini`` backbone (on one of AST's full size where the method's ``check`` refuses mini),
    some on both and at several lengths. Another ``family`` has a small and a larger model of its own.
    """

    method: ClassVar[str | type[Method]]
    settings: ClassVar[Mapping[str, Any]] = {}
    benchmark: ClassVar[str] = ""
    """Whose ``[for.NAME]`` settings of a card apply."""
    switches: ClassVar[Switches] = Switches()
    family: ClassVar[str] = "ast"
    """Family of backbones that it is tried on, of those in ``trials.FAMILIES``."""

    def test_config_survives_json(self) -> None:
        """its Config, written to a record and read back, is the same"""
        config = self.new_method().config
        again = type(config).model_validate(json.loads(config.model_dump_json()))
        assert again == config, f"{config!r} comes back as {again!r}"

    def test_starts_as_identity(self) -> None:
        """it starts as identity where it claims to"""
        method, backbone = self.new_method(), self.backbone()
        if not method.starts_as_identity():
            raise SkipTest("it does not claim to")
        before = backbone.tokens(self.clips(FRAMES))
        method.attach(backbone)
        difference = (backbone.tokens(self.clips(FRAMES)) - before).abs().max()
        assert difference == 0, f"attached and untrained it changes tokens by up to {difference:.2g}"

    def test_every_parameter_can_matter(self) -> None:
        """every parameter that trains is added, and gets a gradient within two steps or is declared redundant"""
        backbone, tolerances = in_best_precision(self.attached(self.backbone()), self.clips(FRAMES))
        strangers = trained_outside(backbone, self.clips(FRAMES))
        assert not strangers, f"trained, but neither added nor unfrozen: {', '.join(strangers)}"
        norms = take_steps(backbone, self.clips(FRAMES))
        norms = {name: norm for name, norm in norms.items() if backbone.roles[name] != "head"}
        if not norms:
            raise SkipTest("nothing trains but the head")
        dead = {name for name, norm in norms.items() if not norm > tolerances.gradient * max(norms.values())}
        undeclared, alive = sorted(dead - backbone.redundant), sorted(backbone.redundant - dead)
        assert not undeclared, f"no gradient reaches {', '.join(undeclared)}"
        assert not alive, f"declared redundant, but with a gradient: {', '.join(alive)}"

    def test_frozen_weights_stay(self) -> None:
        """training and evaluation leave frozen weights alone"""
        backbone = self.attached(self.backbone())
        before = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
        take_steps(backbone, self.clips(FRAMES))
        logits_of(backbone, self.clips(FRAMES))
        after = backbone.state_dict()
        ours = {id(parameter) for parameter in backbone.trained_parameters()}
        trained = {name for name, p in backbone.named_parameters(remove_duplicate=False) if id(p) in ours}
        frozen = [name for name in before if name.startswith("model.") and name not in trained]
        changed = [name for name in frozen if not torch.equal(before[name], after[name])]
        assert not changed, f"not marked as trained, but changed: {', '.join(changed)}"

    def test_parameter_count_is_the_formula(self) -> None:
        """as many parameters train as its formula says"""
        for backbone in self.sizes():
            method, total = self.new_method(), sum(tensor.numel() for tensor in backbone.fine_tuned().values())
            expected = method.expected_parameters(backbone.geometry, total)
            if expected is None:
                raise SkipTest("it states no formula (expected_parameters)")
            method.attach(backbone)
            count, width = sum(backbone.parameters_by_role().values()), backbone.geometry.hidden_size
            assert count == expected, (
                f"{count:,} parameters train at hidden size {width}, its formula says {expected:,}"
            )

    def test_saved_and_loaded_it_is_the_same(self) -> None:
        """saved and loaded it gives equal logits, BatchNorm buffers and head included"""
        backbone = self.attached(self.backbone())
        take_steps(backbone, self.clips(FRAMES))
        other = self.attached(self.backbone(), seed=1)
        other.restore(saved_and_loaded(backbone.trained_state()))
        difference = (logits_of(other, self.clips(FRAMES)) - logits_of(backbone, self.clips(FRAMES))).abs().max()
        assert difference == 0, f"logits differ by up to {difference:.2g}: some state is no parameter and no buffer"

    def test_detach_restores_the_backbone(self) -> None:
        """detached, the backbone is as before, bit for bit"""
        backbone = self.backbone()
        state = {name: tensor.clone() for name, tensor in backbone.state_dict().items()}
        condition, tokens = backbone.condition(), backbone.tokens(self.clips(FRAMES))
        self.attached(backbone)
        with torch.no_grad():
            for parameter in backbone.trained_parameters():
                parameter.add_(1)
        backbone.detach()
        after, now = backbone.state_dict(), backbone.condition()
        changed = sorted(after.keys() ^ state.keys()) or [n for n in state if not torch.equal(state[n], after[n])]
        assert not changed, f"not as before: {', '.join(changed)}"
        differing = sorted(name or "the backbone" for name in condition if condition[name] != now.get(name))
        assert not differing, f"hooks, mode, attributes or requires_grad not as before: {', '.join(differing)}"
        assert torch.equal(backbone.tokens(self.clips(FRAMES)), tokens), "the detached backbone gives other tokens"

    def test_bf16_is_finite(self) -> None:
        """under bf16 autocast logits are finite, in training and evaluation"""
        backbone = self.attached(self.backbone())
        for training in (True, False):
            backbone.train(training)
            with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
                logits = backbone(self.clips(FRAMES))
            assert torch.isfinite(logits).all(), f"not finite in {'training' if training else 'evaluation'}"

    def test_no_memory_is_left_uninitialised(self) -> None:
        """every parameter and buffer is initialised, and every tensor made on the way"""
        backbone = self.backbone()
        with empty_memory_is_nan():
            self.attached(backbone)
            logits = [logits_of(backbone, self.clips(FRAMES)), backbone.train()(self.clips(FRAMES))]
        tensors = [*backbone.attachments.named_parameters(), *backbone.attachments.named_buffers()]
        culprits = [name for name, tensor in tensors if is_poisoned(tensor)]
        assert not culprits, f"uninitialised memory in {', '.join(culprits)}"
        assert not any(map(is_poisoned, logits)), "logits are made of uninitialised memory"

    def test_sizes_and_lengths(self) -> None:
        """it fits the small and the full-size backbone, and inputs of several lengths"""
        try:
            self.backbone()
        except SkipTest as refusal:
            raise AssertionError(str(refusal)) from refusal
        for frames in LENGTHS:
            for backbone in self.sizes(frames) if frames == FRAMES else [self.backbone(frames)]:
                method = self.new_method()
                logits = logits_of(self.attached(backbone), self.clips(frames))
                where = f"at hidden size {backbone.geometry.hidden_size} and {frames} frames"
                assert logits.shape == (CLIPS, CLASSES), f"logits of shape {list(logits.shape)} {where}"
                assert torch.isfinite(logits).all(), f"logits are not finite {where}"
                assert isinstance(method.remark(backbone.geometry), str), "remark gives no text"
                assert isinstance(method.published_surplus(backbone.geometry), int), "published_surplus gives no number"

    def test_clips_do_not_see_each_other(self) -> None:
        """in evaluation a clip's logits do not depend on the clips beside it"""
        backbone, tolerances = in_best_precision(self.attached(self.backbone()), self.clips(FRAMES))
        take_steps(backbone, self.clips(FRAMES))
        together = logits_of(backbone, self.clips(FRAMES))
        alone = torch.cat([logits_of(backbone, clip[None]) for clip in self.clips(FRAMES)])
        difference = (together - alone).abs().max()
        assert difference < tolerances.logits, f"logits differ by up to {difference:.2g}"

    def test_seeds_are_honoured(self) -> None:
        """one seed gives one run, another seed another, all drawn from torch's generator"""
        first, again, other = (self.attached(self.backbone(), seed) for seed in (0, 0, 1))
        same, differ = dict(again.named_parameters()), dict(other.named_parameters())
        mine = {name: p for name, p in first.attachments.named_parameters(prefix="attachments") if name in first.roles}
        differing = [name for name, parameter in mine.items() if not torch.equal(parameter, same[name])]
        assert not differing, f"one seed, two initialisations: {', '.join(differing)}"
        varied = {name: parameter for name, parameter in mine.items() if parameter.min() != parameter.max()}
        fixed = [name for name, parameter in varied.items() if torch.equal(parameter, differ[name])]
        assert not fixed or self.new_method().fixed_start, (
            f"two seeds, one start: {', '.join(fixed)} (or set fixed_start)"
        )
        for backbone in (first, again):
            take_steps(backbone, self.clips(FRAMES))
        states = first.trained_state(), again.trained_state()
        changed = [name for name in first.roles if not torch.equal(states[0][name], states[1][name])]
        assert not changed, f"one seed, two trainings: {', '.join(changed)}"
        outputs = [logits_of(backbone, self.clips(FRAMES)) for backbone in (first, again)]
        assert torch.equal(*outputs), "one seed, two outputs"
        drawn = [self._drawn_after_attaching(seed) for seed in (0, 1)]
        assert not torch.equal(*drawn), "attach seeds torch's generator itself, so that every run would start alike"

    @classmethod
    def rules(cls) -> list[str]:
        """Names of the rules, in the order they are written."""
        return [name.removeprefix("test_") for name in vars(MethodContract) if name.startswith("test_")]

    @classmethod
    def title(cls, rule: str) -> str:
        """What a rule says, in words."""
        return str(getattr(cls, f"test_{rule}").__doc__)

    def findings(self) -> Iterator[Finding]:
        """Every rule, tried in turn. An error inside the method is a violation that names it."""
        for rule in self.rules():
            try:
                getattr(self, f"test_{rule}")()
            except SkipTest as reason:
                yield Finding(rule, "not applicable", str(reason))
            except AssertionError as violation:
                yield Finding(rule, "violated", str(violation))
            except (Exception, SystemExit) as error:
                yield Finding(rule, "violated", one_line(error))
            else:
                yield Finding(rule, "ok")

    def new_method(self) -> Method:
        """The method with the settings and switches under test."""
        if not isinstance(self.method, str):
            return self.method(self.method.Config(**self.settings), self.switches)
        choice = find_method(self.method)
        config, _ = resolve_settings(choice, self.benchmark, "", dict(self.settings))
        return choice.implementation.cls(config, self.switches)

    def backbone(self, frames: int = FRAMES) -> Backbone:
        """A new backbone that the method accepts, the small one if it can be."""
        return next(self.sizes(frames))

    def sizes(self, frames: int = FRAMES) -> Iterator[Backbone]:
        """New backbones, the small one and a larger one (AST's full size), without those that the method refuses.

        Raises SkipTest where it refuses both.
        """
        refusals: dict[str, list[str]] = {}
        accepted = False
        for load in self.of_family.backbones:
            backbone, method = load(frames), self.new_method()
            if reason := refusal(method, backbone):
                refusals.setdefault(reason, []).append(str(backbone.geometry.hidden_size))
            else:
                accepted = True
                yield backbone
        if not accepted:
            said = (f"hidden size {' and '.join(sizes)}: {reason}" for reason, sizes in refusals.items())
            raise SkipTest(f"its check refuses every backbone ({'; '.join(said)})")

    def clips(self, frames: int) -> Tensor:
        """What the family's backbones are given, always the same."""
        return self.of_family.clips(frames)

    @property
    def of_family(self) -> Family:
        return FAMILIES[self.family]

    def trained(self) -> dict[str, int]:
        """How many parameters train by role, on the first backbone that fits."""
        return self.attached(self.backbone()).parameters_by_role()

    def attached(self, backbone: Backbone, seed: int = 0) -> Backbone:
        """The backbone with the method attached under a seed, and a head."""
        method = self.new_method()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            method.attach(backbone)
            torch.manual_seed(seed)
            backbone.add_head(CLASSES, method.pooled_tokens(backbone.geometry))
        return backbone

    def _drawn_after_attaching(self, seed: int) -> Tensor:
        """What torch's generator gives after an attach under a seed."""
        backbone = self.backbone()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.new_method().attach(backbone)
            return torch.rand(4)
