"""A folder of static files: its games are ours, pixel for pixel and rule for rule."""

import hashlib
import json
import re
import shutil
import subprocess

import gymnasium
import numpy as np
import onnxruntime
import pytest
import torch

import arcadia
from backbones.training.errors import UserError
from backbones.training.run import find_run
from rl.agent import load_agent
from rl.games import toys
from rl.games.stacks import FrameStack
from rl.go.network.features import PLANES, see
from rl.go.rules.board import POINTS
from rl.go.rules.position import Position
from rl.go.rules.ruleset import NAMED_RULES
from rl.go.trained import load_trained
from web import export, runtime
from web.export import STATIC

NODE = shutil.which("node")
in_node = pytest.mark.skipif(not NODE, reason="node runs the scripts here; apt-get install nodejs")


def node(script, given):
    """Return what a script of ours prints as JSON; `given` is there as an object."""
    head = f"const given = {json.dumps(given)};\nconst at = {json.dumps(STATIC.as_uri())};\n"
    command = [NODE, "--no-warnings", "--input-type=module", "--eval", head + script]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@in_node
@pytest.mark.parametrize("env", export.TOYS)
def test_a_toy_is_drawn_as_the_environment_draws_it_pixel_for_pixel(env):
    toys.register()
    game, rng = gymnasium.make(env, render_mode="rgb_array"), np.random.default_rng(0)
    toy = game.unwrapped
    actions = rng.integers(len(toy.action_names), size=(20, 40)).tolist()
    drawn, fractions, rows = [], [], []
    for number, moves in enumerate(actions):
        obs, _ = game.reset(seed=number)
        fractions.append(
            {
                "Catch": lambda: (toy.ball[1] + 0.5) / toys.CELLS,
                "Recall": lambda: (toy.side + 0.5) / 2,
                "Corridor": lambda: (toy.room - 0.5) / (toy.rooms - 2),
            }[type(toy).__name__]()
        )
        drawn.append((obs, game.render()))
        for action in moves:
            obs, reward, over, _, _ = game.step(action)
            rows.append([reward, over])
            drawn.append((obs, game.render()))
            if over:
                break
    script = """
    const { TOYS, coloured } = await import(`${at}/toys.js`);
    const pictures = [], rows = [];
    const see = (toy) => {
      const grey = toy.picture();
      pictures.push([...grey], [...coloured(given.env, grey)]);
    };
    given.actions.forEach((moves, number) => {
      const toy = new TOYS[given.env](() => given.fractions[number]);
      see(toy);
      for (const action of moves) {
        const { reward, over } = toy.step(action);
        rows.push([reward, over]);
        see(toy);
        if (over) break;
      }
    });
    console.log(JSON.stringify({ actions: TOYS[given.env].actions, pictures, rows }));
    """
    found = node(script, {"env": env, "actions": actions, "fractions": fractions})
    assert found["actions"] == list(toy.action_names) and found["rows"] == rows
    theirs = found["pictures"]
    assert len(theirs) == 2 * len(drawn)
    for n, (grey, colours) in enumerate(drawn):
        assert np.array_equal(np.array(theirs[2 * n]), grey.ravel())
        assert np.array_equal(np.array(theirs[2 * n + 1]), colours.ravel())


@in_node
@pytest.mark.parametrize(("size", "room", "komi"), [(4, 4, 2.0), (5, 7, -3.5), (7, 7, 9.0)])
def test_games_of_go_have_the_moves_planes_and_scores_of_ours(size, room, komi):
    rng, games, ours = np.random.default_rng(size), [], []
    stamps = np.zeros(POINTS, np.int32)
    for _ in range(6):
        position, rows = Position(size, komi, NAMED_RULES["cgos"]), []
        planes, mask = np.zeros((PLANES, room, room), np.uint8), np.zeros(size * size + 1, bool)
        while not position.over and len(position.moves) < 90:
            see(position.board, np.float64(komi), planes, mask, stamps)
            rows.append([mask.tolist(), planes.ravel().tolist(), position.score()])
            points = np.flatnonzero(mask[:-1])
            passes = not len(points) or rng.random() < 0.05
            position.play(position.pass_move if passes else int(rng.choice(points)))
        games.append([move for _, move in position.moves])
        ours.append([*rows, position.score()])
    script = """
    const { Position } = await import(`${at}/rules.js`);
    console.log(JSON.stringify(given.games.map((moves) => {
      let position = new Position(given.size, given.komi);
      const rows = moves.map((move) => {
        const { planes, legal } = position.planes(given.room);
        const row = [legal, [...planes], position.score()];
        position = position.copy();
        position.play(move);
        return row;
      });
      return [...rows, position.score()];
    })));
    """
    found = node(script, {"games": games, "size": size, "komi": komi, "room": room})
    assert found == ours and max(map(len, games)) > 30


@in_node
def test_the_search_takes_what_it_can_and_keeps_to_the_rules():
    # White's stone in the corner has one liberty left; a judge without opinion of moves.
    script = """
    const { Position } = await import(`${at}/rules.js`);
    const { search } = await import(`${at}/search.js`);
    const position = new Position(4, 0.5);
    for (const move of [1, 0, 9, 15]) position.play(move);
    const judge = async (at) => {
      const legal = at.legalMoves();
      const stones = [...at.stones].filter((colour) => colour === at.toPlay).length;
      const others = [...at.stones].filter((colour) => colour === 3 - at.toPlay).length;
      return { chances: legal.map((may) => (may ? 1 / 17 : 0)), value: Math.tanh(stones - others) };
    };
    const found = await search(position, judge, 200);
    const alone = await search(position, judge, 0);
    const stopped = await search(position, judge, 200, () => false);
    console.log(JSON.stringify({ found, alone, stopped }));
    """
    found = node(script, {})
    assert found["found"][0]["move"] == 4 and sum(each["visits"] for each in found["found"]) == 200
    assert found["alone"][0]["visits"] == found["stopped"][0]["visits"] == 0


@pytest.fixture
def runtime_folder(tmp_path, monkeypatch):
    """A folder that stands for the package's, with other contents and their checksums."""
    folder = tmp_path / "onnxruntime" / "dist"
    folder.mkdir(parents=True)
    digests = {}
    for name in runtime.FILES:
        (folder / name).write_bytes(name.encode())
        digests[name] = hashlib.sha256(name.encode()).hexdigest()
    monkeypatch.setattr(runtime, "FILES", digests)
    return folder.parent


@pytest.fixture
def agents(toy_runs, monkeypatch):
    monkeypatch.setenv("ARCADIA_RUNS", str(toy_runs))


@pytest.mark.parametrize("name", ["a", "m"])
def test_an_agent_of_a_toy_is_written_with_all_that_its_page_asks_for(
    agents, runtime_folder, tmp_path, capsys, name
):
    folder = tmp_path / "page"
    words = ["export", name, "--web", str(folder), "--onnxruntime", str(runtime_folder)]
    assert arcadia.main(words) == 0
    assert "python -m http.server" in capsys.readouterr().out
    assert arcadia.main(words) == 2 and arcadia.main([*words, "--force"]) == 0
    about = json.loads((folder / "config.json").read_text())
    assert about["from"] == f"ppo/{name}" and about["env"] == "Arcadia/Catch-v0"
    assert (about["memory"] is None) == (name == "a")
    texts = [path for path in folder.iterdir() if path.suffix in (".html", ".js", ".css")]
    for path in texts:
        asked = re.findall(r'(?:from|src=|href=|import\()\s*"(?:\./)?([\w.-]+)"', path.read_text())
        assert all((folder / each).exists() for each in asked), (path, asked)
        # Nothing is asked of another host.
        foreign = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "https://" not in foreign and "http://" not in foreign.replace(
            "http://localhost", ""
        )
    assert (folder / "LICENSE.txt").read_text().count("Microsoft") == 1
    agent = load_agent(name)
    graph = onnxruntime.InferenceSession(folder / "network.onnx")
    stacks = FrameStack(np.random.default_rng(0).integers(0, 256, (1, 1, 84, 84), np.uint8))
    given = {"obs": stacks.obs().numpy()}
    if about["memory"]:
        given |= {each: np.zeros(about["memory"], np.float32) for each in ("hidden", "cell")}
    logits, value = graph.run(["logits", "value"], given)
    chances, expected = agent.judge(stacks.obs(), stacks.begins)
    assert torch.allclose(torch.from_numpy(logits).softmax(-1), chances, atol=1e-5)
    assert torch.allclose(torch.from_numpy(value), expected, atol=1e-5)


def test_a_go_network_is_written_with_its_komi_and_answers_as_ours(
    runs, runtime_folder, tmp_path, capsys
):
    folder = tmp_path / "go"
    words = ["--web", str(folder), "--onnxruntime", str(runtime_folder)]
    assert arcadia.main(["export", "zoo/go5", *words]) == 0
    about = json.loads((folder / "config.json").read_text())
    assert (about["size"], about["komi"], about["stars"]) == (5, 25.0, {"5": []})
    network, _ = load_trained(find_run("zoo/go5"))
    planes = np.zeros((1, PLANES, 5, 5), np.uint8)
    mask, stamps = np.zeros(26, bool), np.zeros(POINTS, np.int32)
    position = Position(5, 25.0, NAMED_RULES["cgos"])
    position.play(12)
    see(position.board, np.float64(25.0), planes[0], mask, stamps)
    graph = onnxruntime.InferenceSession(folder / "network.onnx")
    policy, value, ownership = graph.run(["policy", "value", "ownership"], {"planes": planes})
    with torch.inference_mode():
        judged = network(torch.from_numpy(planes))
    for theirs, ours in ((policy, judged.policy), (value, judged.value)):
        assert np.allclose(theirs, ours.numpy(), atol=1e-4)
    assert np.allclose(ownership, judged.ownership.numpy(), atol=1e-4)


def test_a_go_network_is_written_as_a_graph_alone(runs, tmp_path, capsys):
    path = tmp_path / "go.onnx"
    assert arcadia.main(["export", "zoo/go5", "--onnx", str(path)]) == 0
    assert "planes uint8 [batch, 15, 5, 5]" in capsys.readouterr().out and path.stat().st_size
    assert arcadia.main(["export", "zoo/go5", "--onnx", str(tmp_path / "go.zip")]) == 2
    assert "must end in .onnx" in capsys.readouterr().err


def test_what_no_browser_plays_is_refused_in_one_line(runs, tmp_path, capsys):
    for name, why in (
        ("zoo/pong", "Atari emulator, which has no package for browsers"),
        ("zoo/mnist", "plays nothing"),
    ):
        assert arcadia.main(["export", name, "--web", str(tmp_path / "page")]) == 2
        said = capsys.readouterr().err
        assert why in said and len(said.splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(UserError, match="is played here alone"):
        export.require_toy("mine:Game-v0")


def test_a_runtime_that_is_not_there_or_another_is_refused(runtime_folder, monkeypatch, tmp_path):
    with pytest.raises(UserError, match=r"has no ort\.wasm\.min\.js; give the folder `dist`"):
        runtime.runtime_files(tmp_path)
    (runtime_folder / "dist" / "ort.wasm.min.js").write_bytes(b"another")
    with pytest.raises(UserError, match="SHA-256 differs"):
        runtime.runtime_files(runtime_folder)
    monkeypatch.setenv("ARCADIA_DATA", str(tmp_path))
    monkeypatch.setattr(runtime, "BASE", "http://127.0.0.1:9/")
    with pytest.raises(UserError, match="could not be fetched"):
        runtime.runtime_files(None)
