"""What the documents promise is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_every_link_leads_to_a_file(path: Path):
    links = re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text())
    assert [link for link in links if not (path.parent / link).exists()] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_nothing_was_left_to_fill_in(path: Path):
    # What a shell fills in, such as $SLURM_JOB_ID, or is given, as in OMP_NUM_THREADS=1, is no gap.
    assert re.findall(r"(?<!\$)\b[A-Z]+_[A-Z_]+\b(?!=)", path.read_text()) == []
