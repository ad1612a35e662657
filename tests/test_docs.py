"""Docs: the reference is what the code says, links lead somewhere, and all of it builds as a site."""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PLACES = (DOCS, ROOT / "examples", ROOT / "leaderboard")
PAGES = [ROOT / "README.md", *sorted(page for place in PLACES for page in place.rglob("*.md"))]
MADE = runpy.run_path(str(DOCS / "make_reference.py"))["pages"]()


@pytest.mark.parametrize("name", MADE)
def test_the_reference_is_what_the_code_says(name: str) -> None:
    """Made anew with ``python docs/make_reference.py``."""
    assert (DOCS / "reference" / name).read_text("utf-8") == MADE[name]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_files(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text("utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), target


def test_every_page_is_in_the_sites_table_of_contents() -> None:
    listed = set(re.findall(r"[\w/-]+\.md", (ROOT / "mkdocs.yml").read_text("utf-8")))
    assert listed == {str(page.relative_to(DOCS)) for page in PAGES if page.is_relative_to(DOCS)}


def test_the_docs_build_as_a_site(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="mkdocs builds the site; it is not installed")
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "site" / "concepts" / "index.html").is_file()
