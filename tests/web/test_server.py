"""The page's server: who may come in, what is answered, what becomes of bad requests."""

import asyncio
import json
import random
import socket
from pathlib import Path

import pytest
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import arcadia
from backbones.training.checks.address import bind
from backbones.training.config import RunConfig, changed
from backbones.training.errors import UserError
from backbones.training.run import find_run
from tasks.words import answer
from tests.web.served import serving
from web import serve, server
from web.guard import COOKIE, Access
from web.server import build_app

ROOT = Path(__file__).parents[2]
HERE = "http://127.0.0.1:8000"


@pytest.fixture
def client(runs):
    return TestClient(build_app(Access()), base_url=HERE, raise_server_exceptions=False)


def watching(client, name, verb="watch", **headers):
    """Open the socket of an agent, as a browser on this machine does."""
    headers = {"host": "127.0.0.1:8000", **headers}
    return client.websocket_connect(f"/api/{verb}/{name}", headers=headers)


@pytest.fixture
def trained(smoke_runs, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(smoke_runs))
    return TestClient(build_app(Access()), base_url=HERE, raise_server_exceptions=False)


def test_the_page_and_what_it_needs_come_from_here_alone(client):
    answer = client.get("/")
    assert (
        answer.status_code == 200
        and "default-src 'self'" in answer.headers["content-security-policy"]
    )
    for path in (server.PAGE).iterdir():
        text = path.read_text()
        assert client.get(f"/page/{path.name}").status_code == 200
        assert "http://" not in text.replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in text


def test_a_name_that_is_made_to_point_here_is_refused(client):
    for host in ("evil.example", "127.0.0.1.evil.example", "", "[", "127.0.0.1@evil.example"):
        assert client.get("/api/runs", headers={"host": host}).status_code == 403
    for host in ("localhost:8000", "127.0.0.1:1", "[::1]:8000"):
        assert client.get("/api/runs", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [{"origin": "http://evil.example"}, {"origin": "null"}, {"sec-fetch-site": "cross-site"}],
)
def test_pages_of_other_sites_change_nothing_and_get_no_socket(client, headers):
    asked = client.post("/api/try/zoo/mnist/answer", content=b"", headers=headers)
    assert asked.status_code == 403
    with pytest.raises(WebSocketDisconnect) as refused, watching(client, "zoo/pong", **headers):
        pass
    assert refused.value.code == 4403 and "another site" in refused.value.reason


def test_beyond_this_machine_the_token_of_the_address_is_wanted_and_then_a_cookie(runs):
    access = Access.beyond("192.168.0.7")
    asking = TestClient(build_app(access), base_url="http://192.168.0.7:8000")
    assert asking.get("/api/runs").status_code == 403
    assert asking.get("/api/runs?token=wrong").status_code == 403
    answer = asking.get(f"/?token={access.token}")
    assert answer.status_code == 200 and "HttpOnly; SameSite=Strict" in answer.headers["set-cookie"]
    assert asking.cookies[COOKIE] == access.token
    assert asking.get("/api/runs").status_code == 200
    everywhere = TestClient(build_app(Access.beyond("0.0.0.0")), base_url="http://my-machine:8000")
    assert everywhere.get("/").status_code == 403


def test_runs_of_the_folder_and_of_the_zoo_are_listed(trained):
    rows = {row["name"]: row for row in trained.get("/api/runs").json()}
    assert rows["ppo/pong-1"]["done"] == 256 and rows["ppo/pong-1"]["state"] == "finished"
    assert rows["zoo/pong"]["state"] == "zoo" and rows["zoo/mnist"]["kind"] == "task"
    assert next(iter(rows)) == "ppo/pong-1"


def test_who_has_the_list_already_is_not_sent_it_again(trained):
    first = trained.get("/api/runs")
    again = trained.get("/api/runs", headers={"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content and first.json()


def test_a_run_has_its_curves_log_settings_and_film(trained):
    curves = trained.get("/api/runs/ppo/pong-1/curves").json()
    assert curves["train/policy_loss"][-1][0] == 256
    about = trained.get("/api/runs/ppo/pong-1/about").json()
    assert about["config"]["total_steps"] == 256 and any("trained 256" in x for x in about["log"])
    assert about["films"]
    film = trained.get(f"/api/runs/ppo/pong-1/films/{about['films'][0]}")
    assert film.status_code == 200 and film.headers["content-type"] == "video/mp4"


@pytest.mark.parametrize(
    "path",
    [
        "/api/runs/ppo/../../etc/about",
        "/api/runs/%2Fetc%2Fpasswd/about",
        "/api/runs/ppo/pong-1/films/..%2F..%2Fconfig.json",
        "/page/../server.py",
        "/page/%2e%2e/server.py",
        "/api/media/../../x",
    ],
)
def test_no_path_of_a_request_is_opened(trained, path):
    answer = trained.get(path)
    assert answer.status_code in (400, 404) and "def " not in answer.text


def test_a_run_that_breaks_or_goes_while_it_is_looked_at_leaves_the_others(runs, client):
    for name in ("one", "two"):
        folder = runs / "ppo" / name
        folder.mkdir(parents=True)
        (folder / "config.json").write_text("{}")
    assert all(row["state"] == "zoo" for row in client.get("/api/runs").json())
    answer = client.get("/api/runs/ppo/one/curves")
    assert answer.status_code == 400 and "no run 'ppo/one'" in answer.json()["error"]


def test_an_agent_plays_for_a_browser_which_may_pause_and_step(trained):
    with watching(trained, "ppo/pong-1") as socket:
        first, picture = json.loads(socket.receive_text()), socket.receive_bytes()
        assert picture[:4] == b"RIFF" and first["width"] == 480 and len(first["chances"]) == 6
        socket.send_text(json.dumps({"paused": True}))
        socket.send_text(json.dumps({"step": 1}))
        for _ in range(3):
            assert "score" in json.loads(socket.receive_text()) and socket.receive_bytes()


def test_a_person_plays_the_same_game_by_keys(trained):
    with watching(trained, "ppo/pong-1", verb="play") as socket:
        socket.send_text(json.dumps({"keys": ["up", "space"], "speed": 16}))
        first, picture = json.loads(socket.receive_text()), socket.receive_bytes()
        assert (
            picture[:4] == b"RIFF"
            and first["caption"].startswith("score 0")
            and "chances" not in first
        )


def test_a_game_of_go_is_played_over_a_socket(client):
    offered = client.get("/api/go").json()
    assert {"playouts", "random", "zoo/go5"} <= {each["name"] for each in offered["engines"]}
    headers = {"host": "127.0.0.1:8000"}
    with client.websocket_connect("/api/go", headers=headers) as socket:
        socket.send_json({"play": "C3"})
        assert "begin a game" in socket.receive_json()["error"]
        socket.send_json({"new": {"size": 5, "engine": "random", "level": 1}})
        assert socket.receive_json()["size"] == 5
        socket.send_json({"play": "C3"})
        assert [socket.receive_json()["moves"] for _ in range(2)] == [1, 2]


def test_two_browsers_play_on_boards_of_their_own(client):
    headers, settings = {"host": "127.0.0.1:8000"}, {"size": 5, "engine": "random", "level": 1}
    with (
        client.websocket_connect("/api/go", headers=headers) as one,
        client.websocket_connect("/api/go", headers=headers) as two,
    ):
        for socket in (one, two):
            socket.send_json({"new": settings})
            assert socket.receive_json()["moves"] == 0
        one.send_json({"play": "C3"})
        assert [one.receive_json()["moves"] for _ in range(2)] == [1, 2]
        two.send_json({"play": "A1"})
        assert two.receive_json()["played"] == [20]


def test_what_is_no_wish_ends_the_socket_and_a_run_that_is_gone_is_said(trained):
    with watching(trained, "ppo/nothing") as socket:
        assert "no run" in socket.receive_json()["error"]
    with watching(trained, "zoo/mnist") as socket:
        assert "plays no games" in socket.receive_json()["error"]


def test_a_game_that_fails_after_the_server_ended_ends_quietly():
    from web.watching import Game

    async def made():
        return Game(find_run("zoo/mnist"), by_hand=False)

    with asyncio.Runner() as loop:
        game = loop.run(made())
    game.play()  # It has no games and nobody to say so to.
    assert game.outbox.empty()


@pytest.mark.parametrize(
    ("wish", "fits"),
    [
        ({"speed": 4}, True),
        ({"choice": "greedy", "follow": True}, True),
        ({"saliency": True}, True),
        ({"saliency": 1}, False),
        ({"speed": "4"}, False),
        ({"choice": "best"}, False),
        ({"paused": 1}, False),
        ({"keys": ["up", "9"]}, True),
        ({"keys": ["shift"]}, False),
        ({"quit": True}, False),
        ([], False),
    ],
)
def test_wishes_are_taken_or_refused(wish, fits):
    from web.watching import Wishes

    wishes = Wishes()
    if fits:
        wishes.take(json.dumps(wish))
    else:
        with pytest.raises(ValueError):
            wishes.take(json.dumps(wish))


def test_a_picture_is_tried_by_its_bytes(client):
    png = (ROOT / "docs" / "pictures" / "captions.png").read_bytes()
    assert client.get("/api/try/zoo/mnist/card").json()["takes"] == ["picture"]
    found = client.post("/api/try/zoo/mnist/answer", content=png).json()
    assert "%" in found["text"] and len(found["values"]["chances"]) == 10
    for bad in (b"no picture", b""):
        answer = client.post("/api/try/zoo/mnist/answer", content=bad)
        assert answer.status_code == 400 and answer.json()["error"]


def test_a_line_is_translated_and_what_is_of_another_kind_is_refused(client):
    asked = "/api/try/zoo/translate-en-de/answer"
    text = {"content-type": "text/plain; charset=utf-8"}
    assert client.post(asked, content="two dogs .", headers=text).json()["text"]
    refused = client.post(asked, content=b"\x89PNG", headers={"content-type": "image/png"})
    assert refused.status_code == 400 and "takes a line" in refused.json()["error"]
    assert "plays no games" not in refused.text
    assert client.post("/api/try/zoo/pong/answer", content=b"x").status_code == 400


def test_a_question_is_asked_of_a_picture(client, small_worlds):
    answer.train(changed(answer.SMOKE, samples=32, run=RunConfig(name="asked", precision="fp32")))
    png = (ROOT / "docs" / "pictures" / "captions.png").read_bytes()
    place = "/api/try/vqa/asked/answer"
    assert client.get("/api/try/vqa/asked/card").json()["takes"] == ["picture", "line"]
    question = {"question": "How many red zebras are there?"}
    found = client.post(place, content=png, params={**question, "explain": 1}).json()
    assert found["text"] in found["values"]["chances"] and "zebras" in found["doubts"]
    assert found["explained"]["type"] == "image/png"
    for params in ({}, {"question": ""}, {"question": "x" * 20_000}):
        refused = client.post(place, content=png, params=params)
        assert refused.status_code == 400 and refused.json()["error"]
    text = {"content-type": "text/plain"}
    assert "a picture and a line" in client.post(place, content="x", headers=text).text
    examples = client.get("/api/try/vqa/asked/examples").json()
    assert len(examples["media"]) == 6 and all(each.endswith("?") for each in examples["lines"])


def test_examples_to_click_on_come_from_the_tasks_own_world_and_are_answered(client, small_worlds):
    found = client.get("/api/try/zoo/caption-scenes/examples").json()
    assert found["lines"] == [] and len(found["media"]) == 6
    pictures = [client.get(f"/api/media/{each['number']}").content for each in found["media"]]
    assert len(set(pictures)) == 6
    answer = client.post("/api/try/zoo/caption-scenes/answer", content=pictures[0])
    assert answer.json()["text"]


def test_without_the_data_there_are_no_examples_and_the_reason_is_said(client, monkeypatch):
    monkeypatch.delenv("ARCADIA_DATA", raising=False)
    found = client.get("/api/try/zoo/mnist/examples").json()
    assert found["media"] == [] and "mnist" in found["why"]
    assert client.get("/api/try/zoo/pong/examples").status_code == 400


def test_where_a_captioner_looked_is_shown_as_a_picture(client):
    png = (ROOT / "docs" / "pictures" / "captions.png").read_bytes()
    found = client.post("/api/try/zoo/caption-scenes/answer?explain=1", content=png).json()
    assert found["text"] and found["explained"]["type"] == "image/png"
    answer = client.get(f"/api/media/{found['explained']['number']}")
    assert answer.content[:4] == b"\x89PNG"
    assert client.get("/api/media/nothing").status_code == 400


def test_more_than_is_taken_is_refused_before_it_is_read(client, monkeypatch):
    monkeypatch.setattr(server, "MOST_UPLOAD", 1000)
    answer = client.post("/api/try/zoo/mnist/answer", content=bytes(2000))
    assert answer.status_code == 413 and "give a smaller file" in answer.json()["error"]


def test_what_nobody_expected_is_one_line_for_the_browser(client, monkeypatch, capsys):
    def fails(self):
        raise RuntimeError("secret place")

    monkeypatch.setattr(server.Listing, "all_rows", fails)
    answer = client.get("/api/runs")
    assert answer.status_code == 500 and "secret" not in answer.text
    assert "secret place" in capsys.readouterr().err


def test_a_port_in_use_and_missing_packages_are_said(monkeypatch, capsys):
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = taken.getsockname()[1]
        assert arcadia.main(["serve", "--port", str(port)]) == 2
    assert f"port {port} on 127.0.0.1 cannot be used" in capsys.readouterr().err
    monkeypatch.setattr(serve, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="needs starlette, uvicorn, websockets: `pip install"):
        serve.require_packages()
    assert arcadia.main(["serve", "--host", ""]) == 2


@pytest.fixture
def listening(runs):
    """The port of a page that is served as the command does."""
    with serving() as port:
        yield port


def test_a_thousand_malformed_requests_leave_the_server_alive(listening, capsys):
    rng = random.Random(1)
    good = (
        f"POST /api/try/zoo/mnist/answer HTTP/1.1\r\nHost: 127.0.0.1:{listening}\r\n"
        "Content-Length: 5\r\nConnection: close\r\n\r\nhello"
    ).encode()
    answers = b""
    for _ in range(1000):
        broken = bytearray(good)
        for _ in range(rng.randrange(1, 12)):
            broken[rng.randrange(len(broken))] = rng.randrange(256)
        with socket.create_connection(("127.0.0.1", listening), 5) as asking:
            asking.settimeout(0.05)
            asking.sendall(bytes(broken[: rng.randrange(1, len(broken))]))
            asking.shutdown(socket.SHUT_WR)
            try:
                answers += asking.recv(4096)
            except (TimeoutError, ConnectionError):
                continue
    assert b"Traceback" not in answers and b"/web/" not in answers
    with socket.create_connection(("127.0.0.1", listening), 5) as asking:
        asking.sendall(f"GET / HTTP/1.1\r\nHost: localhost:{listening}\r\n\r\n".encode())
        assert asking.recv(100).startswith(b"HTTP/1.1 200")
