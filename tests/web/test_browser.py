"""The page in a real browser, driven as a person drives it: Debian's chromium, without a window."""

from pathlib import Path

import pytest

from tests.web.served import serving

pytest.importorskip("selenium", reason="pip install selenium")
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys

from tests.web.chromium import driven, found, until

ROOT = Path(__file__).parents[2]
pytestmark = driven


@pytest.fixture(scope="module")
def address(smoke_runs):
    """The page on a runs folder with one run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(smoke_runs))
        with serving() as port:
            yield f"http://127.0.0.1:{port}/"


def test_runs_are_listed_and_one_shows_its_curves_and_log(browser, address):
    browser.get(address)
    found(browser, "td a", "ppo/pong-1").click()
    found(browser, "figcaption", "train/")
    assert "trained 256" in found(browser, "pre", "trained 256").text
    drawn = found(browser, ".chart canvas")
    script = (
        "const c = arguments[0], all = c.getContext('2d').getImageData(0, 0, c.width, c.height);"
        "return new Set(all.data).size"
    )
    until(browser, lambda: browser.execute_script(script, drawn) > 10)


def test_an_agent_is_watched_paused_and_stepped(browser, address):
    browser.get(f"{address}#watch=zoo%2Fpong")
    found(browser, ".bars b", "NOOP")
    found(browser, "button", "pause").click()
    found(browser, "button", "play (space)")
    numbers = found(browser, "aside")
    before = numbers.text
    for _ in range(4):
        found(browser, "button", "step").click()
    until(browser, lambda: numbers.text != before)
    red = (
        "const c = document.querySelector('.screen canvas'), pen = c.getContext('2d');"
        "const all = pen.getImageData(0, 0, c.width, c.height).data; let n = 0;"
        "for (let i = 0; i < all.length; i += 4) n += all[i] > all[i + 1] + 90 ? 1 : 0;"
        "return n"
    )
    plain = browser.execute_script(red)
    found(browser, "button", "what it looks at").click()
    found(browser, "button", "step").click()
    until(browser, lambda: browser.execute_script(red) > plain + 20)


def test_a_person_plays_with_the_keys(browser, address):
    browser.get(f"{address}#play=zoo%2Fbreakout")
    until(browser, lambda: "34" in found(browser, ".figures").text)
    body = found(browser, "body")
    body.send_keys(Keys.SPACE)
    until(browser, lambda: found(browser, ".big").text != "")
    assert not found(browser, "[role=status].error", "").text


def test_a_game_of_go_is_begun_played_and_hinted(browser, address):
    browser.get(f"{address}#go")
    found(browser, ".go-form select[name=size]").send_keys("5 by 5")
    found(browser, ".go-form button", "begin").click()
    found(browser, "[data-point=C3]").click()
    until(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, "circle.white")) == 1)
    assert len(browser.find_elements(By.CSS_SELECTOR, "circle.black")) == 1
    found(browser, "[role=status]", "your turn")
    found(browser, "button", "hint").click()
    found(browser, "text.hint")


def test_a_file_of_a_game_is_reviewed_and_stepped_through(browser, address, tmp_path):
    path = tmp_path / "game.sgf"
    path.write_text("(;GM[1]SZ[5]KM[0]PB[Ann]PW[Bob];B[cc];W[aa];B[bb];W[ab])")
    browser.get("about:blank")  # A page that is at #go already would stay as it is.
    browser.get(f"{address}#go")
    found(browser, ".go-form input[type=file]").send_keys(str(path))
    found(browser, "h2", "Ann (black), Bob (white)")
    found(browser, "[role=status]", "move 4 of 4")
    found(browser, "body").send_keys(Keys.HOME, Keys.ARROW_RIGHT)
    found(browser, "[role=status]", "move 1 of 4: black C3")
    stones = "circle.black, circle.white"
    assert len(browser.find_elements(By.CSS_SELECTOR, stones)) == 1
    found(browser, "rect.owned-black")
    found(browser, "button", "back to the board").click()
    found(browser, ".go-form input[type=file]").send_keys(str(ROOT / "LICENSE"))
    found(browser, "[role=status].error", "no game in it")


def test_a_game_of_go_goes_on_when_the_connection_comes_back(browser, smoke_runs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(smoke_runs))
        with serving() as port:
            browser.get(f"http://127.0.0.1:{port}/#go")
            found(browser, ".go-form select[name=size]").send_keys("5 by 5")
            found(browser, ".go-form button", "begin").click()
            found(browser, "[data-point=C3]").click()
            until(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, "circle.white")) == 1)
        found(browser, "[role=status].error", "the connection is lost")
        with serving(port):
            until(browser, lambda: not found(browser, "[role=status].error").text)
            found(browser, "[role=status]", "your turn")
            assert len(browser.find_elements(By.CSS_SELECTOR, "circle.white")) == 1
            until(browser, lambda: found(browser, ".place").click() is None)
            until(browser, lambda: len(browser.find_elements(By.CSS_SELECTOR, "circle.white")) == 2)
            browser.get("about:blank")
    browser.get_log("browser")  # It says that the page was not there for a while.


def test_an_agent_is_watched_again_when_the_connection_comes_back(browser, smoke_runs):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ARCADIA_RUNS", str(smoke_runs))
        with serving() as port:
            browser.get(f"http://127.0.0.1:{port}/#watch=zoo%2Fpong")
            found(browser, ".bars b", "NOOP")
        found(browser, "[role=status].error", "the connection is lost")
        with serving(port):
            until(browser, lambda: not found(browser, "[role=status].error").text)
            numbers = found(browser, "aside").text
            until(browser, lambda: found(browser, "aside").text != numbers)
            browser.get("about:blank")
    browser.get_log("browser")


def test_models_answer_pictures_and_lines(browser, address):
    browser.get(f"{address}#try")
    found(browser, "a.card", "zoo/caption-scenes").click()
    found(browser, "input[type=checkbox]").click()
    picture = str(ROOT / "docs" / "pictures" / "captions.png")
    found(browser, "input[type=file]").send_keys(picture)
    assert found(browser, ".answer", ".").text
    until(browser, lambda: found(browser, "img.medium").get_property("naturalWidth") > 100)
    browser.get(f"{address}#try=zoo%2Ftranslate-en-de")
    found(browser, "textarea").send_keys("Two dogs play in the snow.", Keys.ENTER)
    found(browser, ".answer", "hunde")


def test_questions_are_asked_of_a_picture_one_after_the_other(browser, address, small_worlds):
    browser.get(f"{address}#try=zoo%2Fvqa-scenes")
    ask = found(browser, "input[type=text]")
    ask.send_keys("How many objects are there?", Keys.ENTER)
    found(browser, ".dim", "choose a picture first")
    picture = str(ROOT / "docs" / "pictures" / "captions.png")
    found(browser, "input[type=file]").send_keys(picture)
    until(browser, lambda: found(browser, "img.given").get_property("naturalWidth") > 100)
    ask.send_keys(Keys.ENTER)
    until(browser, lambda: found(browser, ".answer").text.isdigit())
    ask.clear()
    ask.send_keys("Is there a red zebra?", Keys.ENTER)
    found(browser, ".dim", "left out: zebra")
    until(browser, lambda: found(browser, ".answer").text in ("yes", "no"))


def test_an_example_is_clicked_on_and_answered(browser, address, small_worlds):
    browser.get(f"{address}#try=zoo%2Fcaption-scenes")
    found(browser, "button.example").click()
    assert found(browser, ".answer", ".").text


def test_nothing_is_asked_of_another_host_and_nothing_failed(browser, address):
    script = "return performance.getEntriesByType('resource').map((each) => each.name)"
    assert all(name.startswith(address) for name in browser.execute_script(script))
    severe = [row["message"] for row in browser.get_log("browser") if row["level"] == "SEVERE"]
    assert severe == []
