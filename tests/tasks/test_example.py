"""The example task of CONTRIBUTING.md runs as it stands there."""

import json
import re
import sys
from pathlib import Path

import pytest
from PIL import Image

import arcadia

TEXT = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text()


@pytest.mark.slow
@pytest.mark.learns
def test_the_example_is_short_and_learns(runs, learning, tmp_path, monkeypatch, capsys):
    code = re.search(r"```python\n(.*?)```", TEXT, re.DOTALL)[1]
    body = code[code.index("class Scenes") :]
    assert len([line for line in body.splitlines() if line]) <= 30
    (tmp_path / "count.py").write_text(code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    how = {"precision": learning.precision, "seed": learning.seed}
    run = arcadia.train("count:JOB", samples=2_000, width=0.25, **how)
    capsys.readouterr()
    result = json.loads((run.folder / "eval.json").read_text())
    # Two thousand scenes teach a little: 80 % is a guess.
    assert result["score"] < 72 and result["run"] == "count/count-1"
    Image.new("RGB", (80, 64)).save("empty.png")
    assert arcadia.main(["predict", "last", "empty.png"]) == 0
    assert re.fullmatch(r"empty\.png: [1-5] objects\n", capsys.readouterr().out)
