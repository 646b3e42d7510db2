"""Small splits of the generated pictures: most tests ask whether something works, not how well."""

import pytest

from tasks.labels import labelled


@pytest.fixture(autouse=True)
def small_worlds(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """Worlds with 100 pictures to validate on and 200 to test on; as they are for slow trials."""
    if request.node.get_closest_marker("slow") is None:
        monkeypatch.setitem(labelled.WORLD_SIZES, "val", 100)
        monkeypatch.setitem(labelled.WORLD_SIZES, "test", 200)
