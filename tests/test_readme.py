"""What the README shows works as shown."""

from __future__ import annotations

import re
from pathlib import Path

from tests.studies import train

README = (Path(__file__).parents[1] / "README.md").read_text("utf-8")


def test_the_own_method_trains_as_told() -> None:
    code = re.search(r"```python\n# scale.py\n(.*?)```", README, re.DOTALL)
    assert code is not None
    Path("scale.py").write_text(code[1])
    run = train(methods=("scale.py:Scale",), settings=("Scale.start=0.9",))
    assert run.record.spec.method.hyperparameters == {"start": 0.9, "pooling": "mean"}
    assert run.record.train_info.parameters["adapter"] == 6 * 128
