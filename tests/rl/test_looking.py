"""What people look at: evaluations, films, terminals, windows, and playing themselves."""

import os
import pty
import re
import sys
import time

import av
import numpy as np
import pytest
import torch

from backbones.training.errors import UserError
from rl import evaluate as evaluate_module
from rl.agent import load_agent
from rl.evaluate import evaluate, play_games
from rl.games.options import EnvOptions
from rl.games.screen import best_size
from rl.games.stacks import FrameStack
from rl.play import Config as PlayConfig
from rl.play import action_for, find_game
from rl.play import main as play_main
from rl.scores import RANDOM_AND_HUMAN, human_normalised
from rl.shows.film import Film
from rl.shows.panel import Panel, compose
from rl.shows.show import Closed
from rl.shows.terminal import Terminal, half_blocks, panel_lines
from rl.shows.window import Window
from rl.watch import film, play_game

PONG = ("NOOP", "FIRE", "RIGHT", "LEFT", "RIGHTFIRE", "LEFTFIRE")


def test_every_environment_plays_its_quota_and_no_game_more(monkeypatch):
    monkeypatch.setattr(evaluate_module, "MAX_ENVS", 4)
    generator = torch.Generator().manual_seed(0)
    scores, lengths, protocol = play_games(
        "Arcadia/Catch-v0",
        EnvOptions(),
        10,
        5,
        lambda obs, begins: torch.randint(3, (len(obs),), generator=generator),
    )
    assert len(scores) == 10
    assert lengths == [13] * 10
    assert set(scores) <= {-1.0, 1.0}
    assert protocol.env == "Arcadia/Catch-v0"


def test_long_games_count_as_much_as_short_ones(monkeypatch):
    """With first-come counting the environment of short games would fill the list."""
    import gymnasium
    from gymnasium.spaces import Box, Discrete

    class Uneven(gymnasium.Env):
        """Games of seed's parity: 2 or 40 env steps; the score is the length."""

        observation_space = Box(0, 255, (84, 84), np.uint8)
        action_space = Discrete(2)
        made = 0

        def __init__(self):
            self.limit = 40 if Uneven.made % 2 else 2
            Uneven.made += 1

        def reset(self, *, seed=None, options=None):
            self.t = 0
            return np.zeros((84, 84), np.uint8), {}

        def step(self, action):
            self.t += 1
            return np.zeros((84, 84), np.uint8), 1.0, self.t == self.limit, False, {}

    gymnasium.register("Uneven-v0", entry_point=Uneven)
    try:
        monkeypatch.setattr(evaluate_module, "MAX_ENVS", 2)
        scores, _, _ = play_games(
            "Uneven-v0",
            EnvOptions(),
            6,
            0,
            lambda obs, begins: torch.zeros(len(obs), dtype=torch.int64),
        )
    finally:
        gymnasium.registry.pop("Uneven-v0")
    assert sorted(scores) == [2, 2, 2, 40, 40, 40]


def test_an_evaluation_repeats_itself(smoke):
    agent = load_agent("ppo/pong-1")
    options = EnvOptions(max_frames=800)
    first = evaluate(agent, games=3, options=options)
    assert evaluate(agent, games=3, options=options) == first
    assert first.random == -20.7
    assert first.protocol.sticky == 0.25


def test_the_result_states_score_baseline_and_protocol(smoke):
    result = evaluate(load_agent("ppo/pong-1"), games=2).to_dict("ppo/pong-1")
    assert {"run", "metric", "score", "baseline", "protocol"} <= set(result)
    assert result["human_normalised"] == (result["score"] + 20.7) / 35.3
    needed = {"env", "sticky", "noop_max", "frame_skip", "max_frames", "choice", "epsilon", "seed"}
    assert needed <= set(result["protocol"])


def test_human_normalised_scores():
    assert human_normalised("pong", 14.6) == 1
    assert human_normalised("pong", -20.7) == 0
    assert abs(human_normalised("breakout", 16.1) - 0.5) < 1e-9
    assert human_normalised("no_such_game", 1.0) is None
    assert len(RANDOM_AND_HUMAN) == 57


def test_every_game_of_the_table_is_a_registered_one():
    from rl.games.atari import atari_ids

    assert set(RANDOM_AND_HUMAN) <= set(atari_ids().values())


def test_an_agent_acts_on_one_observation_and_on_many(smoke):
    agent = load_agent("ppo/pong-1")
    one = agent.act(np.zeros((4, 84, 84), np.uint8))
    assert isinstance(one, int)
    assert 0 <= one < 6
    many = agent.act(torch.zeros(5, 4, 84, 84, dtype=torch.uint8), choice="greedy")
    assert many.shape == (5,)
    assert len(set(many.tolist())) == 1
    for shape, dtype in [((84, 84), np.uint8), ((4, 90, 90), np.uint8), ((4, 84, 84), np.float32)]:
        with pytest.raises(ValueError, match=r"expected uint8 \[4, 84, 84\]"):
            agent.act(np.zeros(shape, dtype))


def test_epsilon_one_is_random_play_and_greedy_is_the_likeliest(smoke):
    agent = load_agent("ppo/pong-1")
    probabilities = torch.tensor([[0.1, 0.9]]).expand(4000, 2)
    assert agent.choose(probabilities, "greedy").float().mean() == 1
    assert abs(agent.choose(probabilities, "greedy", 1.0).float().mean() - 0.5) < 0.05
    assert abs(agent.choose(probabilities, "sampled").float().mean() - 0.9) < 0.05


def test_a_running_stack_forgets_the_game_before():
    frames = [np.full((2, 1, 84, 84), i + 1, np.uint8) for i in range(6)]
    stacks = FrameStack(frames[0])
    assert stacks.obs()[:, :, 0, 0].tolist() == [[0, 0, 0, 1]] * 2
    stacks.push(frames[1], np.array([False, False]))
    stacks.push(frames[2], np.array([False, True]))
    assert stacks.obs()[:, :, 0, 0].tolist() == [[0, 1, 2, 3], [0, 0, 0, 3]]


def panel(**values):
    base = {
        "title": "ALE/Pong-v5",
        "score": 3.0,
        "value": 0.5,
        "probabilities": [1 / 6] * 6,
        "action": 2,
        "action_names": PONG,
        "values": [0.1, 0.5],
    }
    return Panel(**{**base, **values})


def test_the_overlay_shows_the_game_and_changes_with_the_thought():
    picture = np.zeros((210, 160, 3), np.uint8)
    picture[:, :, 0] = 200
    shown = compose(picture, panel())
    assert shown.shape == (420, 780, 3)
    assert (shown[:420, :480, 0] == 200).all()
    likely = compose(picture, panel(probabilities=[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]))
    assert not np.array_equal(shown[:, 480:], likely[:, 480:])
    assert not np.array_equal(shown, compose(picture, panel(score=4.0)))


def test_a_game_of_many_actions_fits_the_panel():
    names = tuple(f"UPRIGHTFIRE{i}" for i in range(18))
    shown = compose(
        np.zeros((84, 84, 3), np.uint8), panel(action_names=names, probabilities=[1 / 18] * 18)
    )
    assert shown.shape == (420, 720, 3)


def test_sizes_people_see():
    assert best_size(np.zeros((210, 160, 3))) == (480, 420)
    assert best_size(np.zeros((84, 84, 3))) == (420, 420)
    assert best_size(np.zeros((600, 800, 3))) == (800, 600)


def test_half_blocks_carry_two_pixels_each():
    picture = np.zeros((4, 2, 3), np.uint8)
    picture[0] = (255, 0, 0)
    picture[1] = (0, 255, 0)
    lines = half_blocks(picture, 0.5, 2, 2)
    assert lines[0].startswith("\x1b[38;2;255;0;0;48;2;0;255;0m▀▀")
    assert len(lines) == 2
    wide = half_blocks(np.zeros((210, 160, 3), np.uint8), 480 / 420, 80, 20)
    assert (len(wide), wide[0].count("▀")) == (20, 45)
    narrow = half_blocks(np.zeros((210, 160, 3), np.uint8), 480 / 420, 40, 50)
    assert (len(narrow), narrow[0].count("▀")) == (18, 40)


def test_thoughts_are_text_in_a_terminal():
    lines = panel_lines(panel(probabilities=[0.0, 0.5, 0.5, 0.0, 0.0, 0.0]), 32)
    assert lines[3].strip() == "score 3"
    assert lines[4].strip() == "value +0.50"
    assert lines[7].startswith("FIRE")
    assert " 50% ████" in lines[7]
    assert lines[8].startswith("\x1b[33mRIGHT")  # the chosen one


def test_a_terminal_sends_only_what_changed(capsys, monkeypatch):
    monkeypatch.setattr(Terminal, "EVERY_S", 0.0)
    terminal = Terminal("title")
    picture = np.zeros((210, 160, 3), np.uint8)
    terminal.show(picture, panel(), "score 3")
    first = len(capsys.readouterr().out)
    terminal.show(picture, panel(), "score 3")
    assert capsys.readouterr().out == ""
    picture[0:8] = 255
    terminal.show(picture, panel(), "score 3")
    assert 0 < len(capsys.readouterr().out) < first / 3
    terminal.close()


def test_a_film_has_the_frames_and_the_speed_it_was_given(tmp_path):
    path = tmp_path / "a" / "film.mp4"
    show = Film(path, 30.0)
    for i in range(12):
        show.show(np.full((210, 160, 3), 20 * i, np.uint8), None, "")
    show.close()
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(stream)]
        assert stream.average_rate == 30
    assert len(pictures) == 12
    assert abs(float(pictures[10].mean()) - 200) < 6
    assert list(path.parent.iterdir()) == [path]


def test_an_existing_film_is_kept_unless_forced(tmp_path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"precious")
    with pytest.raises(UserError, match="--force"):
        Film(path, 30.0)
    assert path.read_bytes() == b"precious"
    with pytest.raises(UserError, match=r"must end in \.mp4"):
        Film(tmp_path / "film.avi", 30.0)
    with pytest.raises(UserError, match="cannot be written"):
        Film(path / "below" / "film.mp4", 30.0)


def test_a_film_of_an_agent_is_a_whole_game(smoke, tmp_path):
    agent = load_agent("ppo/pong-1")
    score = film(agent, tmp_path / "game.mp4")
    with av.open(str(tmp_path / "game.mp4")) as container:
        frames = container.streams.video[0].frames
    assert frames == 2 * 100  # the smoke protocol ends games after 400 frames
    assert -10 <= score <= 0


class Recorder:
    """Keeps what it is shown."""

    def __init__(self):
        self.pictures, self.captions = [], []

    def show(self, picture, panel, caption):
        self.pictures.append(picture)
        self.captions.append(caption)

    def held(self):
        return set()

    def close(self):
        pass


def watch(agent, seed):
    show = Recorder()
    return play_game(agent, show, seed=seed, limit_s=3.0), show


def test_watching_shows_two_pictures_a_step_and_repeats_by_seed(smoke):
    agent = load_agent("ppo/pong-1")
    _, show = watch(agent, 1)
    assert len(show.pictures) == 2 * 45
    assert re.fullmatch(r"score -?\d+  value [+-]\d\.\d\d", show.captions[-1])
    again = watch(agent, 1)[1]
    assert all(np.array_equal(a, b) for a, b in zip(show.pictures, again.pictures, strict=True))


# The dummy driver, which stands for a screen here, draws in software and warns of it.
@pytest.mark.filterwarnings("ignore:no fast renderer")
def test_a_window_opens_and_closes(monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window("title")
    window.show(np.zeros((210, 160, 3), np.uint8), panel(), "score 1")
    assert window.held() == set()
    window.close()


def test_without_a_display_a_window_is_refused(monkeypatch):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sys, "platform", "linux")
    with pytest.raises(UserError, match="no display for --window; use --terminal"):
        Window("title")


def test_a_terminal_reads_keys_and_is_given_back(monkeypatch, capsys):
    master, slave = pty.openpty()
    with os.fdopen(slave, "r") as keyboard:
        monkeypatch.setattr(sys, "stdin", keyboard)
        monkeypatch.setattr(Terminal, "HELD_S", 0.05)
        terminal = Terminal("title")
        os.write(master, b"\x1b[A ")
        picture = np.zeros((20, 20, 3), np.uint8)
        terminal.show(picture, None, "score 0")
        assert terminal.held() == {"up", "space"}
        time.sleep(0.06)
        terminal.show(picture, None, "score 0")
        assert terminal.held() == set()
        os.write(master, b"q")
        with pytest.raises(Closed):
            terminal.show(picture, None, "score 0")
        terminal.close()
    out = capsys.readouterr().out
    assert out.startswith("\x1b[?1049h")
    assert out.endswith("\x1b[?1049l")
    os.close(master)


@pytest.mark.parametrize(
    ("held", "action"),
    [
        (set(), "NOOP"),
        ({"right"}, "RIGHT"),
        ({"left", "space"}, "LEFTFIRE"),
        ({"space"}, "FIRE"),
        ({"up"}, "NOOP"),
        ({"d", "space"}, "RIGHTFIRE"),
        ({"3"}, "LEFT"),
        ({"9"}, "NOOP"),
    ],
)
def test_keys_choose_the_action_that_fits_best(held, action):
    assert PONG[action_for(held, PONG)] == action


def test_without_noop_the_first_action_is_the_idle_one():
    assert action_for(set(), ("action 0", "action 1")) == 0


def test_play_takes_a_game_or_a_run(smoke):
    env, _, agent = find_game("ALE/Breakout-v5")
    assert (env, agent) == ("ALE/Breakout-v5", None)
    env, _, agent = find_game("ppo/pong-1")
    assert env == "ALE/Pong-v5"
    assert agent is not None
    with pytest.raises(UserError, match=r"neither a run nor a game: .*did you mean"):
        find_game("ALE/Brakout-v5")


def test_a_followed_agent_takes_the_newest_weights(runs):
    from backbones.training.config import RunConfig, changed
    from rl import ppo

    run = ppo.train(
        changed(ppo.SMOKE, env="Arcadia/Catch-v0", eval_games=0, run=RunConfig(precision="fp32"))
    )
    newest, agent = sorted(run.checkpoints.iterdir())[-1], load_agent(run)
    weights = agent.network.policy.weight.clone()
    agent.network.policy.weight.data.zero_()
    assert agent.reload() == int(newest.name)
    assert torch.equal(agent.network.policy.weight, weights)


@pytest.mark.filterwarnings("ignore:no fast renderer")
def test_a_person_plays_against_an_agents_score(smoke, monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    status = play_main(PlayConfig(game="ppo/pong-1", window=True, speed=200.0))
    assert status == 0
    assert re.search(r"you -?\d+, the agent -?\d+", capsys.readouterr().out)


def test_films_of_odd_sizes_are_whole(tmp_path):
    show = Film(tmp_path / "odd.mp4", 15.0)
    show.show(np.zeros((85, 83, 3), np.uint8), panel(), "")
    show.show(np.zeros((85, 83, 3), np.uint8), panel(), "")
    show.close()
    assert (tmp_path / "odd.mp4").stat().st_size > 500
