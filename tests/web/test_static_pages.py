"""Folders of static files in a real browser, behind a plain server of files."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

import arcadia

pytest.importorskip("selenium", reason="pip install selenium")
from tests.web.chromium import driven, found, until
from web.runtime import FILES, data_folder

pytestmark = [
    *driven,
    pytest.mark.skipif(
        not all((data_folder() / name).exists() for name in FILES),
        reason=f"no onnxruntime-web in {data_folder()}; `arcadia export RUN --web DIR` fetches it",
    ),
]


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture
def served(tmp_path, toy_runs, monkeypatch):
    """Export a run, and give the address of its folder."""
    monkeypatch.setenv("ARCADIA_RUNS", str(toy_runs))
    servers = []

    def serve(name):
        folder = tmp_path / "page"
        assert arcadia.main(["export", name, "--web", str(folder)]) == 0
        server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("name", ["a", "m"])
def test_an_agent_plays_its_toy_and_so_does_a_person(browser, served, name):
    address = served(name)
    browser.get(address)
    found(browser, "[role=status]", "the agent plays; 2 games")
    assert [row.text for row in browser.find_elements("css selector", ".bars b")] == [
        "LEFT",
        "NOOP",
        "RIGHT",
    ]
    found(browser, "button", "play yourself").click()
    found(browser, "[role=status]", "you play; 1 game")
    assert found(browser, ".figures", "score a game")
    script = "return performance.getEntriesByType('resource').map((each) => each.name)"
    assert all(each.startswith(address) for each in browser.execute_script(script))
    assert [row for row in browser.get_log("browser") if row["level"] == "SEVERE"] == []


def test_a_person_plays_go_against_the_network(browser, served):
    browser.get(served("zoo/go5"))
    found(browser, "[data-point=C3]").click()
    until(browser, lambda: len(browser.find_elements("css selector", "circle.white")) == 1)
    found(browser, "[role=status]", "your turn")
    found(browser, "input[type=checkbox]").click()
    found(browser, "rect.owned-black, rect.owned-white")
    found(browser, "button", "undo").click()
    until(browser, lambda: not browser.find_elements("css selector", "circle.white"))
    assert found(browser, ".chance", "black wins")


def test_a_browser_without_webassembly_is_told_so(browser, served):
    hidden = browser.execute_cdp_cmd(
        "Page.addScriptToEvaluateOnNewDocument", {"source": "delete window.WebAssembly"}
    )
    try:
        browser.get(served("zoo/go5"))
        assert "no WebAssembly" in found(browser, "[role=alert]").text
        assert not browser.find_elements("css selector", ".board")
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", hidden)
