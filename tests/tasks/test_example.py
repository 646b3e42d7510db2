"""The example task of CONTRIBUTING.md runs as it stands there."""

import importlib.util
import json
import re
import sys
from pathlib import Path

import pytest

from backbones.training.config import RunConfig, changed

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()


@pytest.mark.slow
def test_the_example_is_short_and_learns(runs, tmp_path, monkeypatch):
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    body = code[code.index("class Scenes") :]
    assert len([line for line in body.splitlines() if line]) <= 30
    (tmp_path / "count.py").write_text(code)
    spec = importlib.util.spec_from_file_location("tasks.count", tmp_path / "count.py")
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "tasks.count", module)
    spec.loader.exec_module(module)
    trunk = changed(module.PRESETS["default"].trunk, width=0.25)
    config = changed(
        module.PRESETS["default"], samples=2_000, trunk=trunk, run=RunConfig(precision="fp32")
    )
    run = module.train(config)
    result = json.loads((run.folder / "eval.json").read_text())
    # Two thousand scenes teach a little: 80 % is a guess.
    assert result["score"] < 72 and result["run"] == "count/count-1"
