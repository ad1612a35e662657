"""One registry for every family of classes: built-in modules, entry points and ``path.py:Class``.

A built-in is a module of the family's package that defines one subclass of the family's base class; its name is the
module's. Adding one is adding a file. Listing names imports no implementation.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import pkgutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, Generic, TypeVar

from petl_bench.errors import UserError, nearest, one_line, unknown

T = TypeVar("T")


@dataclass(frozen=True)
class Implementation(Generic[T]):
    """A loaded class, the name it is recorded under, and what identifies code that is not built in."""

    name: str
    cls: type[T]
    source: str = ""
    """Empty for a built-in, ``<distribution>==<version>`` of an installed package, ``sha256:...`` of a file."""


@dataclass(eq=False)
class Registry(Generic[T]):
    """Names of one family.

    kind: what messages call a member ("method"). package: where built-ins live; ``support`` names its modules that
    are not members. group: entry-point group. base: "module:Class" every member derives from. bridges: another
    library's classes by prefix, ``peft`` for ``peft:lora``: "module:function" makes an Implementation of what follows.
    """

    kind: str
    package: str
    group: str
    base: str
    support: frozenset[str] = frozenset()
    bridges: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def built_in(self) -> tuple[str, ...]:
        spec = find_spec(self.package)
        assert spec is not None
        assert spec.submodule_search_locations is not None
        modules = (module.name for module in pkgutil.iter_modules(spec.submodule_search_locations))
        return tuple(sorted(name for name in modules if name not in self.support and not name.startswith("_")))

    @cached_property
    def plugins(self) -> dict[str, EntryPoint]:
        found: dict[str, EntryPoint] = {}
        for point in entry_points(group=self.group):
            if point.name in self.built_in or point.name in found:
                other = _distribution(found[point.name]) if point.name in found else "petl-bench itself"
                raise UserError(
                    f"two packages provide the {self.kind} '{point.name}': {_distribution(point)} and {other}; "
                    "uninstall one of them"
                )
            found[point.name] = point
        return found

    def names(self) -> list[str]:
        """All names, built-in and from entry points."""
        return sorted([*self.built_in, *self.plugins])

    def origin(self, name: str) -> str:
        """``<distribution>==<version>`` of a plugin."""
        return _distribution(self.plugins[name])

    def summary(self, name: str) -> str:
        """First line of the built-in's docstring, or the plugin's target; nothing is imported."""
        if name in self.plugins:
            return f"{self.plugins[name].value} ({self.origin(name)})"
        spec = find_spec(f"{self.package}.{name}")
        assert spec is not None
        assert spec.origin is not None
        docstring = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
        return docstring.partition("\n")[0]

    def load(self, name: str) -> Implementation[T]:
        """The class behind ``name``, behind ``path.py:Class``, or the one that ``path.py`` defines.

        Raises UserError where the name is unknown or the file does not hold such a class.
        """
        if ".py:" in name or name.endswith(".py"):
            return self._load_file(name)
        if self.is_bridged(name):
            return self._load_bridged(name)
        if name in self.built_in:
            return Implementation(name, self._member_of(import_module(f"{self.package}.{name}")))
        if name in self.plugins:
            return Implementation(name, self._load_plugin(self.plugins[name]), self.origin(name))
        raise UserError(unknown(self.kind, name, self.names()))

    def is_bridged(self, name: str) -> bool:
        """Whether ``name`` begins with the prefix of another library."""
        prefix, colon, _ = name.partition(":")
        return bool(colon) and prefix in self.bridges

    def _load_bridged(self, name: str) -> Implementation[T]:
        prefix, _, member = name.partition(":")
        module, _, function = self.bridges[prefix].partition(":")
        loaded: Implementation[T] = getattr(import_module(module), function)(member)
        return loaded

    def _load_plugin(self, point: EntryPoint) -> type[T]:
        with self._importing(point.name, _distribution(point)):
            loaded = point.load()
        return self._checked(loaded, point.name)

    def _load_file(self, name: str) -> Implementation[T]:
        path_text, _, class_name = name.rpartition(":") if ".py:" in name else (name, "", "")
        path = Path(path_text).expanduser()
        if not path.is_file():
            raise UserError(f"{self.kind} '{name}': no file {path}")
        source = source_of(path)
        spec = spec_from_file_location(f"petl_bench_file_{path.stem}_{source.removeprefix('sha256:')}", path)
        assert spec is not None
        assert spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[spec.name] = module  # annotations in the file are resolved through it
        with self._importing(name, str(path)):
            spec.loader.exec_module(module)
        if not class_name:
            class_name = self._only_member(module, path)
        classes = [key for key, value in vars(module).items() if isinstance(value, type)]
        if class_name not in classes:
            raise UserError(f"{self.kind} '{name}': {path} has no class {class_name}{nearest(class_name, classes)}")
        return Implementation(class_name, self._checked(getattr(module, class_name), name), source)

    @contextmanager
    def _importing(self, name: str, where: str) -> Iterator[None]:
        """Whatever foreign code raises on import is one line that names it."""
        try:
            yield
        except (Exception, SystemExit) as error:
            raise UserError(f"{self.kind} '{name}' from {where} fails on import: {one_line(error)}") from error

    @cached_property
    def _base(self) -> type[T]:
        module, _, cls = self.base.partition(":")
        base: type[T] = getattr(import_module(module), cls)
        return base

    def _member_of(self, module: ModuleType) -> type[T]:
        members = self._members(module)
        assert len(members) == 1, f"{module.__name__} defines {len(members)} {self.kind} classes, wanted one"
        return members[0]

    def _only_member(self, module: ModuleType, path: Path) -> str:
        names = [cls.__name__ for cls in self._members(module)]
        if len(names) != 1:
            found = f"{len(names)} {self.kind} classes ({', '.join(names)})" if names else f"no {self.kind} class"
            raise UserError(f"{path} defines {found}; name one as {path.name}:Class")
        return names[0]

    def _members(self, module: ModuleType) -> list[type[T]]:
        """The classes of the family that a module itself defines, without abstract ones."""
        return [
            value
            for value in vars(module).values()
            if inspect.isclass(value)
            and issubclass(value, self._base)
            and value.__module__ == module.__name__
            and not inspect.isabstract(value)
        ]

    def _checked(self, cls: Any, name: str) -> type[T]:
        if not (inspect.isclass(cls) and issubclass(cls, self._base)):
            raise UserError(f"{self.kind} '{name}' is not a subclass of {self.base.replace(':', '.')}")
        if missing := sorted(getattr(cls, "__abstractmethods__", ())):
            raise UserError(f"{self.kind} '{name}' does not define {', '.join(missing)}")
        return cls


def source_of(path: Path) -> str:
    """What identifies the code in a file."""
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name}=={point.dist.version}" if point.dist else point.value


METHODS: Registry[Any] = Registry(
    kind="method",
    package="petl_bench.methods",
    group="petl_bench.methods",
    base="petl_bench.methods.base:Method",
    support=frozenset({"base", "adapter", "placement", "grid", "mamba", "peft_bridge"}),
    bridges={"peft": "petl_bench.methods.peft_bridge:implementation_of"},
)
BACKBONES: Registry[Any] = Registry(
    kind="backbone",
    package="petl_bench.backbones",
    group="petl_bench.backbones",
    base="petl_bench.backbones.base:Backbone",
    support=frozenset(
        {
            "base",
            "condition",
            "folder",
            "half",
            "keys_values",
            "pickled",
            "pretrain",
            "pretraining",
            "recompute",
            "resolve",
            "sites",
            "untouched",
            "waveform",
            "waveform_folder",
        }
    ),
)
LAYOUTS: Registry[Any] = Registry(
    kind="layout",
    package="petl_bench.benchmarks.layouts",
    group="petl_bench.layouts",
    base="petl_bench.benchmarks.dataset:Layout",
)
EXECUTORS: Registry[Any] = Registry(
    kind="executor",
    package="petl_bench.executors",
    group="petl_bench.executors",
    base="petl_bench.executors.base:Executor",
    support=frozenset({"base", "worker", "opening"}),
)
TRACKERS: Registry[Any] = Registry(
    kind="tracker",
    package="petl_bench.tracking",
    group="petl_bench.trackers",
    base="petl_bench.tracking.base:Tracker",
    support=frozenset({"base", "following"}),
)
