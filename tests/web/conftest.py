"""What tests of the page share: a browser, and small agents of a toy."""

import pytest

from backbones.training.config import RunConfig, changed


@pytest.fixture(scope="session")
def browser():
    """Debian's chromium, without a window."""
    from selenium import webdriver

    from tests.web.chromium import BROWSER, DRIVER

    options = webdriver.ChromeOptions()
    options.binary_location = BROWSER
    for flag in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield opened
    opened.quit()


@pytest.fixture(scope="session")
def toy_runs(tmp_path_factory):
    """A runs folder with two agents of Catch, ppo/a and ppo/m, the second with a memory."""
    from rl import ppo

    folder = tmp_path_factory.mktemp("runs")
    small = changed(ppo.CATCH, total_steps=512, hidden=64, eval_games=0, num_envs=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(folder))
        for name, more in (("a", {}), ("m", {"memory": "lstm", "lstm_units": 8})):
            ppo.train(changed(small, run=RunConfig(precision="fp32", name=name), **more))
    return folder
