"""An exported folder and a backbone are all that is needed: a fresh process gives the run's own test logits."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import numpy as np
import numpy.typing as npt
import pytest

from petl_bench.card_files import card_files
from petl_bench.results import ResultsTree
from tests.adapters.exported import Case, exported, trained, write_clips

pytestmark = pytest.mark.xdist_group("round trip")  # all of it rests on one fixture of many runs

EXACT, HALF = 1e-5, 0.02
"""What logits may differ by in fp32, and in bf16 as part of the largest, whose steps are up to 1/128 of a number."""

CASES = {
    **{name: Case({"methods": (name,)}) for name in card_files("methods")},
    **{
        f"{name}-bf16": Case({"methods": (name,), "precision": "bf16"}, exact=False)
        for name in ("lora", "conformer", "linear", "full", "prompt_deep")
    },
    "normalised-by-training-clips": Case({"methods": ("lora",), "switches": ("normalisation=training",)}),
    "published": Case({"methods": ("prompt_deep",), "profile": "published"}),
    "zero-positions": Case({"methods": ("full",), "switches": ("position_embeddings=zeros",)}),
    "interpolated-positions": Case({"methods": ("linear",), "settings": ("synthetic.features.frames=560",)}),
    "pooling-cls": Case({"methods": ("bottleneck",), "settings": ("bottleneck.pooling=cls",)}),
    "pooling-cls-dist": Case({"methods": ("lora",), "settings": ("lora.pooling=cls+dist",)}),
    "pooling-prompts": Case({"methods": ("prompt_deep",), "settings": ("prompt_deep.pooling=prompts",)}),
}

ELSEWHERE = """
import sys
from pathlib import Path
import numpy as np
from petl_bench.adapters.model import load_model
from petl_bench.adapters.predict import predict_files
clips, out, *folders = sys.argv[1:]
files = Path(clips).read_text().splitlines()
logits = {Path(at).name: [answer.logits for answer in predict_files(load_model(Path(at)), files)] for at in folders}
np.savez(out, **{name: np.stack(its) for name, its in logits.items()})
"""


@pytest.fixture(scope="module")
def logits(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[npt.NDArray[np.float32], ...]]:
    """Of every case, the run's own test logits, and those of a process that finds the exported folders alone."""
    base = tmp_path_factory.mktemp("exported")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PETL_BENCH_CACHE", str(base / "cache"))
        tree = ResultsTree(base / "results")
        own = {name: exported(tree, base / "out" / name, **case.changes).predictions for name, case in CASES.items()}
        _, workbench = trained()
        ids = own["linear"].test_ids.tolist()
        files = write_clips(workbench, ids, base / "clips")
    assert all(its.test_ids.tolist() == ids for its in own.values())
    shutil.rmtree(tree.root)
    shutil.rmtree(base / "cache")
    (base / "list").write_text("\n".join(map(str, files)))
    folders = [str(base / "out" / name) for name in CASES]
    environment = {**os.environ, "PETL_BENCH_CACHE": str(base / "cache"), "PETL_BENCH_DATA": str(base / "nothing")}
    command = [sys.executable, "-c", ELSEWHERE, str(base / "list"), str(base / "elsewhere.npz"), *folders]
    subprocess.run(command, check=True, env=environment, cwd=base)
    assert not (base / "cache").exists()
    with np.load(base / "elsewhere.npz") as elsewhere:
        return {name: (own[name].test_logits, elsewhere[name]) for name in CASES}


@pytest.mark.parametrize("name", CASES)
def test_the_exported_folder_gives_the_runs_test_logits(
    logits: dict[str, tuple[npt.NDArray[np.float32], ...]], name: str
) -> None:
    own, elsewhere = logits[name]
    assert own.shape == (10, 10)
    assert np.ptp(own, axis=0).min() > 100 * EXACT, "clips do not differ: this would prove nothing"
    difference = np.abs(own - elsewhere).max()
    assert difference < (EXACT if CASES[name].exact else HALF * np.abs(own).max())
