"""What a row is called: after the card that its runs equal, or after what is different."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from petl_bench.leaderboard.board import board
from petl_bench.leaderboard.names import Namer
from petl_bench.leaderboard.pages import markdown
from petl_bench.records import RunRecord
from tests.leaderboard.trees import plant, study_of, template
from tests.studies import TINY, plan_of


def test_a_row_is_called_after_the_card_its_runs_equal() -> None:
    namer = Namer()
    lora = template().record.spec.method.model_copy(
        update={
            "implementation": "lora",
            "hyperparameters": {"rank": 6, "alpha": 16.0, "targets": ["q", "v"], "layers": "all", "pooling": "mean"},
        }
    )

    def record(**info: object) -> RunRecord:
        run = template().record
        training = run.spec.training.model_copy(
            update={"optimizer": run.spec.training.optimizer.model_copy(update={"lr": info.pop("lr", 5e-3)})}
        )
        spec = run.spec.model_copy(update={"method": lora, "training": training})
        meta = run.meta_info.model_copy(
            update={"method_info": {"name": "lora", "settings": {}, "overrides": {}, **info}}
        )
        return run.model_copy(update={"spec": spec, "meta_info": meta})

    assert namer.name(record()).text == "lora"
    assert namer.name(record(overrides={"rank": 6})).text == "lora"
    varied = namer.name(record(settings={"rank": 2}, overrides={"rank": 2}))
    assert (varied.text, varied.variant) == ("lora (rank = 2)", True)
    assert namer.name(record(lr=0.1, overrides={"lr": 0.1})).text == "lora (lr = 0.1)"
    assert namer.name(record(lr=0.1)).text == "lora (not as its card is now)"
    elsewhere = namer.name(record(name="my-lora", settings={"alpha": 8.0}))
    assert (elsewhere.text, elsewhere.variant) == ("my-lora", False)


def test_records_say_which_settings_are_not_defaults() -> None:
    plan, _ = plan_of(
        replace(
            TINY,
            methods=("conformer_houlsby", "lora"),
            settings=(
                "conformer_houlsby.kernel_size=8",
                "conformer_houlsby.reduction_rate=16",
                "lora.rank=6",
                "lora.lr=0.1",
            ),
        )
    )
    houlsby, lora = plan
    assert houlsby.settings == {"placement.location": "houlsby", "reduction_rate": 16}
    assert houlsby.overrides == {"kernel_size": 8, "reduction_rate": 16}
    assert (lora.settings, lora.overrides) == ({}, {"rank": 6, "lr": 0.1})


def test_a_local_card_names_its_runs_as_it_is_now() -> None:
    plant(Path("results"), *study_of({"linear": 0.5}, seeds=1))
    Path("methods").mkdir()
    Path("methods/probe.toml").write_text('implementation = "linear"\ntitle = "x"\n[optimizer]\nlr = 1e-3\n')
    Path("methods/linear.toml").write_text('implementation = "linear"\ntitle = "x"\n[optimizer]\nlr = 2e-3\n')
    assert [row["method"] for row in board(Path("results"))[0][0]["rows"]] == ["probe"]


def test_names_are_escaped() -> None:
    name = "<script>alert(1)</script>|*x*\n# y"
    run = template()
    meta = run.record.meta_info.model_copy(
        update={"method_info": {"name": name, "settings": {"a": 1}, "overrides": {}}}
    )
    method = run.record.spec.method.model_copy(update={"implementation": "nothing"})
    spec = run.record.spec.model_copy(update={"method": method})
    info = run.record.run_info.model_copy(update={"run_key": spec.run_key(), "config_key": spec.config_key()})
    record = run.record.model_copy(update={"meta_info": meta, "spec": spec, "run_info": info})
    plant(Path("results"), type(run)(record, [], run.predictions))
    page = markdown(board(Path("results"))[0])
    assert "<script>" not in page
    assert r"\<script\>alert(1)\</script\>\|\*x\* \# y" in page
