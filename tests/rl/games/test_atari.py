"""Our Atari environment against Gymnasium's wrappers, its restarts, and replays of games."""

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.wrappers import AtariPreprocessing

from rl.evaluate import play_games
from rl.experience.pipeline import merge_shares, take_share
from rl.games.atari import AtariEnvironments, atari_ids
from rl.games.contract import Step
from rl.games.history import History
from rl.games.options import EnvOptions
from rl.games.screen import AtariScreen

GAMES = ("Pong Breakout Seaquest MsPacman BeamRider SpaceInvaders Qbert Enduro").split()


def make(env="ALE/Breakout-v5", num_envs=4, **kwargs):
    return AtariEnvironments(
        env, range(num_envs), **{"seed": 1, "sticky": 0.0, "threads": 2, **kwargs}
    )


@pytest.mark.parametrize("game", GAMES)
def test_frames_rewards_and_endings_equal_those_of_gymnasiums_wrappers(game):
    env = f"ALE/{game}-v5"
    ours = make(env, 1, noop_max=1)
    raw = gymnasium.make(env, frameskip=1, repeat_action_probability=0.0)
    wrapped = AtariPreprocessing(raw, noop_max=0, frame_skip=4, screen_size=84)
    wrapped.reset(seed=0)
    first = ours.reset()
    if "FIRE" in ours.action_names:
        raw.step(ours.action_names.index("FIRE"))  # one frame, as at the start of our games
    rng, scores = np.random.default_rng(3), 0
    assert first.shape == (1, 1, 84, 84)
    for _ in range(1000):
        action = int(rng.integers(len(ours.action_names)))
        step = ours.step(np.array([action]))
        obs, reward, terminated, _, _ = wrapped.step(action)
        assert step.reward[0] == reward
        assert step.over[0] == terminated
        scores += reward != 0
        if terminated:
            break
        assert np.array_equal(step.frame[0, 0], obs)
    assert scores > 0 or game == "Enduro"


@pytest.mark.parametrize("game", GAMES)
def test_the_colour_twin_shows_the_agent_the_same_pixels(game):
    env = f"ALE/{game}-v5"
    ours, twin = make(env, 1, noop_max=1), AtariScreen(env, EnvOptions(sticky=0.0, noop_max=1))
    assert np.array_equal(ours.reset()[0], twin.reset(0).frame)
    assert twin.action_names == ours.action_names
    rng = np.random.default_rng(4)
    for _ in range(600):
        action = int(rng.integers(len(ours.action_names)))
        step, shown = ours.step(np.array([action])), twin.step(action)
        assert shown.over == step.over[0]
        assert shown.reward == step.reward[0]
        if shown.over:
            break
        assert np.array_equal(step.frame[0], shown.frame)
        assert all(picture.shape == (210, 160, 3) for picture in shown.pictures)


def test_a_lost_life_ends_the_return_but_not_the_game():
    envs = make("ALE/Breakout-v5", 2)
    envs.reset()
    rng, lost, over = np.random.default_rng(0), 0, 0
    while over < 2:
        step = envs.step(rng.integers(4, size=2))
        assert (step.terminated | ~step.over).all()
        lost += int((step.terminated & ~step.over).sum())
        over += int(step.over.sum())
    assert lost >= 4 * over  # five lives a game


def test_after_a_game_the_next_frame_is_of_the_new_game_and_the_old_ones_last_is_kept():
    envs = make("ALE/Breakout-v5", 2, noop_max=1)
    first = envs.reset()
    rng = np.random.default_rng(0)
    while True:
        step = envs.step(rng.integers(4, size=2))
        if step.over.any():
            break
    n = int(np.flatnonzero(step.over)[0])
    # Without no-ops and sticky actions every game begins with the same picture.
    assert np.array_equal(step.frame[n], first[n])
    assert not np.array_equal(step.final_frame[n], first[n])
    # No dead row: the very next action already moves the new game on.
    assert not envs.step(np.array([1, 1])).over.any()
    assert envs.history.begin[n] == len(envs.history.actions) - 1


def test_the_clock_truncates_a_game_without_terminating_it():
    envs = make("ALE/Pong-v5", 2, max_frames=200)
    envs.reset()
    for _ in range(60):
        step = envs.step(np.zeros(2, np.int64))
        if step.over.any():
            break
    assert (step.truncated & ~step.terminated & step.over)[step.over].all()


@pytest.mark.parametrize("env", ["ALE/Pong-v5", "ALE/Breakout-v5"])
@pytest.mark.parametrize("max_frames", [200, 198])
def test_the_last_picture_at_the_time_limit_is_that_of_a_game_that_goes_on(env, max_frames):
    """ale-py's own limit stops before it has captured it."""
    envs, endless = make(env, 3, max_frames=max_frames), make(env, 3)
    assert np.array_equal(envs.reset(), endless.reset())
    for action in np.random.default_rng(0).integers(4, size=(50, 3)):
        step, expected = envs.step(action), endless.step(action)
    assert step.over.all() and not expected.over.any()
    assert np.array_equal(step.final_frame, expected.frame)
    assert np.array_equal(step.terminated, expected.terminated)
    assert np.array_equal(step.truncated, ~step.terminated)


def test_a_life_lost_just_when_time_is_up_still_ends_the_game():
    envs = make("ALE/Breakout-v5", 1)
    envs.reset()
    for k in range(1, 400):
        step = envs.step(np.zeros(1, np.int64) + (k % 10 == 0))
        if step.terminated[0]:
            break
    assert step.terminated[0]
    assert not step.over[0]
    limited = make("ALE/Breakout-v5", 1, max_frames=4 * k)
    limited.reset()
    steps = [limited.step(np.zeros(1, np.int64) + (i % 10 == 0)) for i in range(1, k + 2)]
    assert steps[k - 1].over[0]
    assert not any(step.over[0] for step in steps[: k - 1])
    assert not steps[k].over[0]  # the next step is the new game's first, not a dead row


def play(envs, steps, seed):
    rng = np.random.default_rng(seed)
    actions = rng.integers(len(envs.action_names), size=(steps, envs.num_envs))
    return [envs.step(action) for action in actions]


def equal(ours, theirs):
    """Whether two env steps are equal in every byte."""
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


# Some games end by lives, some by the clock after 150 env steps, some seeded, some not.
SHORT = {"sticky": 0.25, "max_frames": 600, "seed_every": 200}


def hasty(steps, num_envs, seed):
    """Actions of which those of the first environment lose the ball at once."""
    actions = np.random.default_rng(seed).integers(1, 4, size=(steps, num_envs))
    actions[:, 0] = 1
    return actions


@pytest.mark.parametrize("options", [{**SHORT, "seed_every": 0}, SHORT, {**SHORT, "sticky": 0.0}])
def test_games_are_replayed_from_seeds_and_actions(options):
    envs = make("ALE/Breakout-v5", 2, **options)
    envs.reset()
    before = [envs.step(action) for action in hasty(500, 2, 5)]
    assert sum(step.over.sum() for step in before) > 6
    state = envs.state_dict()
    other = make("ALE/Breakout-v5", 2, **options)
    assert np.array_equal(other.load_state_dict(state), before[-1].frame)
    for action in hasty(200, 2, 6):
        assert equal(other.step(action), envs.step(action))
    for name, values in envs.state_dict().items():
        assert np.array_equal(values, other.state_dict()[name]), name


def test_a_replay_may_begin_where_a_game_has_just_been_seeded():
    envs = make("ALE/Pong-v5", 1, **SHORT)
    envs.reset()
    last = play(envs, 300, seed=1)[-1]  # two games, by the clock
    state = envs.state_dict()
    assert state["length"].tolist() == [0] and state["episode"].tolist() == [2]
    other = make("ALE/Pong-v5", 1, **SHORT)
    assert np.array_equal(other.load_state_dict(state), last.frame)
    assert all(map(equal, play(other, 20, seed=2), play(envs, 20, seed=2)))


def of(numbers, **options):
    return AtariEnvironments("ALE/Breakout-v5", numbers, seed=1, **SHORT, **options)


def test_unseeded_games_depend_on_no_thread_no_neighbour_and_nothing_played_before():
    """Three environments in one process equal those of two, and of others after a resume."""
    whole = of(range(3), threads=1)
    whole.reset()
    actions = hasty(420, 3, 1)
    expected = [whole.step(action) for action in actions]
    states = []
    for numbers in (range(2), range(2, 3)):
        part = of(numbers, threads=2)
        part.reset()
        play(part, 30, seed=3)
        part.reset()
        for action, step in zip(actions, expected, strict=True):
            assert equal(part.step(action[numbers]), Step(*(array[numbers] for array in step)))
        states.append({k: torch.from_numpy(v) for k, v in part.state_dict().items()})
    assert len({len(state["actions"]) for state in states}) == 2
    assert whole.history.episode.tolist() != whole.history.seeded_episode.tolist()
    joined = merge_shares(states)
    parts = [of(range(1), threads=1), of(range(1, 3), threads=1)]
    for part in parts:
        mine = take_share(joined, part.numbers)
        part.load_state_dict({k: v.numpy() for k, v in mine.items()})
    for action in hasty(200, 3, 2):
        step = whole.step(action)
        for part in parts:
            mine = Step(*(array[part.numbers] for array in step))
            assert equal(part.step(action[part.numbers]), mine)


def test_a_run_whose_games_were_all_seeded_goes_on_so():
    """Its checkpoint says nothing of seeding: that of an earlier version."""
    envs = make("ALE/Breakout-v5", 1, sticky=0.25, seed_every=0)
    envs.reset()
    for action in hasty(200, 1, 5):
        envs.step(action)
    state = envs.state_dict()
    assert state.pop("seed_every") == 0
    other = make("ALE/Breakout-v5", 1, sticky=0.25)
    other.load_state_dict(state)
    for action in hasty(200, 1, 6):
        assert equal(other.step(action), envs.step(action))
    assert other.history.seeded_episode[0] == other.history.episode[0] > 1


def test_an_environment_is_seeded_where_its_last_seeding_is_long_ago_and_a_game_begins():
    history = History(2, 4, seed_every=5)
    seeded = []
    for t in range(1, 13):
        history.record(np.array([1, 2]), np.array([t % 3 == 0, t == 4]))
        seeded.append(history.seeding.tolist())
    # Games of the first end at 3, 6, 9 and 12; that of the second is over too soon, then never.
    assert [t + 1 for t, (first, _) in enumerate(seeded) if first] == [6, 12]
    assert not any(second for _, second in seeded)
    assert history.state_dict()["length"].tolist() == [0, 12]
    assert history.state_dict()["episode"].tolist() == [4, 0]
    assert history.lengths().tolist() == [0, 8]
    assert history.episode.tolist() == [4, 1]


def test_every_game_of_an_evaluation_has_a_seed_of_its_own(monkeypatch):
    """So a published score repeats: the second games begin as if nothing had been before them."""
    monkeypatch.setattr("rl.evaluate.MAX_ENVS", 2)

    def actions_of(obs, begins):
        return 1 + obs[:, -1].sum((1, 2)) % 3

    options = EnvOptions(max_frames=800)
    scores, lengths, _ = play_games("ALE/Breakout-v5", options, 4, 1, actions_of)
    found = []
    for n in range(2):
        envs = AtariEnvironments("ALE/Breakout-v5", range(n, n + 1), seed=1, max_frames=800)
        state = {"actions": np.zeros((0, 1), np.uint8), "length": np.zeros(1, np.int64)}
        for episode in range(2):
            frame = envs.load_state_dict({**state, "episode": np.array([episode])})
            score, length, over = 0.0, 0, False
            while not over:
                step = envs.step(actions_of(torch.from_numpy(frame), None).numpy())
                frame, over = step.frame, bool(step.over[0])
                score, length = score + float(step.reward[0]), length + 1
            found.append((score, length))
    assert sorted(found) == sorted(zip(scores, lengths, strict=True))
    assert len(set(found)) > 2


def test_an_environments_games_depend_on_its_index_not_on_its_neighbours():
    actions = np.random.default_rng(0).integers(4, size=(200, 1))
    alone, among = make("ALE/Breakout-v5", 1, sticky=0.25), make("ALE/Breakout-v5", 5, sticky=0.25)
    assert np.array_equal(alone.reset()[0], among.reset()[0])
    for action in actions:
        one, five = alone.step(action), among.step(np.repeat(action, 5))
        assert np.array_equal(one.frame[0], five.frame[0])


def test_sticky_actions_change_the_game_and_seeds_do_too():
    runs = {}
    for sticky, seed in [(0.0, 1), (0.25, 1), (0.25, 2)]:
        envs = make("ALE/Breakout-v5", 1, sticky=sticky, seed=seed, noop_max=1)
        envs.reset()
        runs[sticky, seed] = np.stack([s.frame for s in play(envs, 100, seed=7)])
    assert not np.array_equal(runs[0.0, 1], runs[0.25, 1])
    assert not np.array_equal(runs[0.25, 1], runs[0.25, 2])


def test_the_registered_games_are_offered():
    assert len(atari_ids()) >= 100
    assert atari_ids()["ALE/MsPacman-v5"] == "ms_pacman"
