"""Small splits of the generated pictures: most tests ask whether something works, not how well."""

import pytest

from tasks.worlds import pens


@pytest.fixture(autouse=True)
def small_unless_slow(request: pytest.FixtureRequest):
    """Small worlds, but for trials that are slow anyway."""
    if request.node.get_closest_marker("slow") is None:
        request.getfixturevalue("small_worlds")


@pytest.fixture(scope="module")
def few_pens():
    """A world of pens with 4 lines to validate on and 8 to test on."""
    with pytest.MonkeyPatch.context() as patch:
        for split, count in {"val": 4, "test": 8}.items():
            patch.setitem(pens.SIZES, split, count)
        yield
