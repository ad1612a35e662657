"""One registry: built-in modules, entry points, files."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from petl_bench.errors import UserError
from petl_bench.lookup import find_method
from petl_bench.registry import BACKBONES, LAYOUTS, METHODS, Registry

METHOD_FILE = """
from __future__ import annotations
from petl_bench import Method, MethodConfig

class Mine(Method):
    class Config(MethodConfig):
        width: int = 3
    def attach(self, backbone): ...

class Other: ...
"""


def registry() -> Registry[object]:
    return Registry("method", METHODS.package, METHODS.group, METHODS.base, METHODS.support)


def with_plugins(monkeypatch: pytest.MonkeyPatch, *points: tuple[str, str]) -> Registry[object]:
    found = [EntryPoint(name, value, METHODS.group) for name, value in points]
    monkeypatch.setattr("petl_bench.registry.entry_points", lambda group: found)
    return registry()


def test_every_module_of_a_family_is_a_member() -> None:
    assert METHODS.names() == [
        "adaptformer",
        "bitfit",
        "bottleneck",
        "conformer",
        "conformer_gated",
        "convpass",
        "full",
        "layernorm",
        "linear",
        "lora",
        "mambadapter",
        "moa",
        "prefix",
        "prompt",
        "ssf",
    ]
    assert BACKBONES.names() == ["ast", "hubert", "mini", "mini_random", "wav2vec2", "wavlm"]
    assert LAYOUTS.names() == [
        "esc50",
        "fluent_speech_commands",
        "manifest",
        "speech_commands",
        "synthetic",
        "urbansound8k",
    ]
    for known in (METHODS, BACKBONES, LAYOUTS):
        for name in known.names():
            assert known.load(name).source == ""
            assert known.summary(name)


def test_listing_imports_no_torch() -> None:
    listing = "import sys, petl_bench.registry as r; r.METHODS.names(); r.BACKBONES.summary('ast')"
    code = f"{listing}; print('torch' in sys.modules)"
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "False"


def test_an_entry_point_is_a_member(monkeypatch: pytest.MonkeyPatch) -> None:
    known = with_plugins(monkeypatch, ("mine", "petl_bench.methods.lora:Lora"))
    assert "mine" in known.names()
    assert known.load("mine").cls.__name__ == "Lora"
    assert known.load("mine").source
    assert known.summary("mine").startswith("petl_bench.methods.lora:Lora")


def test_two_members_of_one_name_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="two packages provide the method 'lora'.*petl-bench itself"):
        with_plugins(monkeypatch, ("lora", "x:Y")).names()
    with pytest.raises(UserError, match="two packages provide the method 'mine'"):
        with_plugins(monkeypatch, ("mine", "x:Y"), ("mine", "z:Y")).names()


def test_a_class_of_the_wrong_kind_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="is not a subclass of petl_bench.methods.base.Method"):
        with_plugins(monkeypatch, ("mine", "pathlib:Path")).load("mine")


def test_an_entry_point_that_does_not_import_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="method 'mine' .*no_such_module"):
        with_plugins(monkeypatch, ("mine", "no_such_module:Y")).load("mine")


def test_a_file_with_one_class_needs_no_class_name(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(METHOD_FILE)
    assert METHODS.load(str(path)).name == "Mine"
    path.write_text(METHOD_FILE + "class Other(Mine): ...\n")
    with pytest.raises(UserError, match=r"defines 2 method classes \(Mine, Other\); name one as mine.py:Class"):
        METHODS.load(str(path))
    path.write_text("import os\n")
    with pytest.raises(UserError, match="defines no method class"):
        METHODS.load(str(path))


def test_a_file_is_a_member_identified_by_its_content(tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(METHOD_FILE)
    first = METHODS.load(f"{path}:Mine")
    assert (first.name, first.cls.Config().width) == ("Mine", 3)
    path.write_text(METHOD_FILE + "# changed\n")
    assert METHODS.load(f"{path}:Mine").source != first.source


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("{folder}/absent.py:Mine", "no file"),
        ("{folder}/mine.py:Min", r"has no class Min \(did you mean 'Mine'"),
        ("{folder}/mine.py:Other", "is not a subclass"),
        ("{folder}/broken.py:Mine", "fails on import: SyntaxError"),
        ("{folder}/leaves.py:Mine", "fails on import: SystemExit"),
        ("{folder}/half.py:Half", "does not define attach"),
        ("lorra", r"unknown method 'lorra' \(did you mean 'lora'"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(tmp_path: Path, name: str, message: str) -> None:
    (tmp_path / "mine.py").write_text(METHOD_FILE)
    (tmp_path / "broken.py").write_text("def")
    (tmp_path / "leaves.py").write_text("import sys; sys.exit(3)")
    (tmp_path / "half.py").write_text("from petl_bench import Method\nclass Half(Method): ...")
    with pytest.raises(UserError, match=message):
        METHODS.load(name.format(folder=tmp_path))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Config = None", "its Config is not a subclass of petl_bench.MethodConfig"),
        ("card = None", "its card is not a dict"),
        ("card = {'titel': 'x'}", r"unknown key 'titel' \(did you mean 'title'"),
        ("card = {'optimizer': {'lr': 'fast'}}", "optimizer.lr = 'fast': input should be"),
    ],
)
def test_a_method_without_a_proper_config_or_card_is_one_line(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "mine.py"
    path.write_text(
        f"from petl_bench import Method\nclass Mine(Method):\n    {line}\n    def attach(self, backbone): ...\n"
    )
    with pytest.raises(UserError, match=message) as error:
        find_method(str(path))
    assert "\n" not in str(error.value)
