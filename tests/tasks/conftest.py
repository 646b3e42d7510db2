"""Small splits of the generated pictures: most tests ask whether something works, not how well."""

import pytest


@pytest.fixture(autouse=True)
def small_unless_slow(request: pytest.FixtureRequest):
    """Small worlds, but for trials that are slow anyway."""
    if request.node.get_closest_marker("slow") is None:
        request.getfixturevalue("small_worlds")
