"""Any pixel game: what environments show becomes the frames of agents, their actions a choice."""

import gymnasium
import numpy as np
import pytest

import arcadia
from backbones.training.checks import trust
from backbones.training.errors import UserError
from rl.games.first_look import settle_options
from rl.games.foreign.pictures import planes_in_colour
from rl.games.options import EnvOptions
from tests.rl.games import other_games as others
from tests.rl.games.making import make

MODULE = "tests.rl.games.other_games"


def frames_of(name, **options):
    """Return the frames of a game's copies after some env steps, and its protocol."""
    envs = make(f"{MODULE}:{name}", size_px=16, **options)
    frames = [envs.reset(), *(envs.step(np.array([0, 1])).final_frame for _ in range(3))]
    envs.close()
    return np.stack(frames), envs.protocol


@pytest.mark.parametrize(
    ("name", "adapted"),
    [
        ("Floats", "float32 of 0 to 1 as 0 to 255"),
        ("Signed", "float32 of -2 to 2 as 0 to 255"),
        ("Integers", "int64 of 0 to 10 as 0 to 255"),
        ("Binary", "truth values as 0 and 255"),
        ("First", "channels turned to the end"),
        ("Entry", "'image' of its Dict"),
    ],
)
def test_what_means_the_same_picture_gives_the_same_frames(name, adapted):
    expected, _ = frames_of("Halves")
    frames, protocol = frames_of(name)
    assert np.array_equal(frames, expected)
    assert adapted in protocol.adapted and protocol.obs == "grey 16 x 16, 4 frames"


@pytest.mark.parametrize(
    ("name", "planes"), [("Planes", 4), ("FirstPlanes", 4), ("ThreePlanes", 3)]
)
def test_planes_stay_apart(name, planes):
    expected, _ = frames_of("Halves")
    frames, protocol = frames_of(name)
    assert frames.shape == (4, 2, planes, 16, 16)
    assert np.array_equal(frames[:, :, :1], expected)
    assert f"{planes} planes" in protocol.adapted


def test_what_a_game_draws_is_seen_instead_of_its_numbers():
    frames, protocol = frames_of("Numbers", pixels=True)
    assert frames.shape == (4, 2, 1, 16, 16)
    assert np.array_equal(frames[..., 8, :] > 99, frames_of("Halves")[0][..., 8, :] > 99)
    assert protocol.adapted == "seen as it is drawn"
    assert frames_of("Numbers", pixels=True, colour=True)[0].shape == (4, 2, 3, 16, 16)


def test_a_small_picture_is_kept_where_that_is_asked_for():
    found, lines = settle_options(f"{MODULE}:Planes", EnvOptions(size_px=0))
    assert found == {"channels": 4, "size_px": 16} and "enlarged" not in lines[0]
    found, lines = settle_options(f"{MODULE}:Planes", EnvOptions())
    assert found == {"channels": 4} and "enlarged from 12 x 16 (--size-px 0" in lines[0]


def test_one_of_several_pictures_is_chosen_by_name():
    assert np.array_equal(frames_of("Entries", obs_key="front")[0], frames_of("Halves")[0])
    assert not frames_of("Entries", obs_key="back")[0].any()


@pytest.mark.parametrize(
    ("name", "options", "line"),
    [
        ("Entries", {}, "several pictures: (front, back|back, front); choose one, as in --obs-key"),
        ("Entries", {"obs_key": "side"}, "--obs-key side: .* shows a Dict of "),
        ("Entry", {"obs_key": "mission"}, "shows Text.* there, not pictures; choose image"),
        ("Mission", {}, r"a Dict without pictures \(.*mission: Text.*--pixels learns from what"),
        ("Halves", {"obs_key": "image"}, "is no Dict; leave it out"),
        ("Numbers", {"pixels": True, "obs_key": "image"}, "one of --pixels and --obs-key"),
        ("Steered", {}, r"Box\(-1.0, 1.0.* one of n actions; --env-kwargs continuous=False gives"),
        (
            "Steered",
            {"env_kwargs": ("continous=False",)},
            "could not be made: TypeError: .*'contin",
        ),
        ("Piano", {}, r"MultiBinary\(9\), 512 combinations; .* at most 256"),
        ("OldHalves", {}, "is a OldHalves, no gymnasium.Env; .* played with --old-api"),
        ("Halves", {"wrapper": (f"{MODULE}:Loud",)}, r"Loud is not there; did you mean Louder\?"),
        ("Halves", {"wrapper": (f"{MODULE}:Halves",)}, "Halves is no gymnasium.Wrapper"),
        ("Halves", {"wrapper": ("nosuchmodule:X",)}, "No module named 'nosuchmodule'"),
        ("Halves", {"wrapper": (f"{MODULE}:Louder(loud=3)",)}, "could not wrap .* TypeError"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_to_do(name, options, line):
    with pytest.raises(UserError, match=line) as raised:
        make(f"{MODULE}:{name}", **options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"env_kwargs": ("continuous",)}, "is not NAME=VALUE, such as continuous=False"),
        ({"env_kwargs": ("a=1", "a=2")}, "a is given twice"),
        ({"env_kwargs": ("render_mode=human",)}, "--pixels asks for the drawing"),
        ({"env_kwargs": ("a=__import__('os')",)}, "is no value as Python writes it"),
        ({"env_kwargs": ("a=" + "[" * 999,)}, "is no value as Python writes it"),
        ({"env_kwargs": ("a=" + "1" * 2000,)}, "longer than 1,000 letters"),
        ({"wrapper": ("Louder",)}, "is not module:Class"),
        ({"wrapper": ("os:system('true')",)}, "name=value pairs"),
        ({"wrapper": ("m:C(a=open('x'))",)}, "name=value pairs"),
        ({"size_px": -1}, "must be 0, or at least 5"),
        ({"env_processes": -1}, "must be 0 or above"),
    ],
)
def test_settings_that_mean_nothing_are_refused(options, line):
    with pytest.raises(UserError, match=line):
        EnvOptions(**options)


def test_arguments_reach_the_environment_and_wrappers_stand_round_it():
    arguments = ("continuous=false", "sides=2")
    wrapper = f"{MODULE}:Louder(times=3)"
    envs = make(f"{MODULE}:Steered-v0", env_kwargs=arguments, wrapper=(wrapper,))
    envs.reset()
    rewards = np.stack([envs.step(np.array([0, 1])).reward for _ in range(9)])
    assert set(np.unique(rewards)) == {0.0, 3.0}
    adapted = envs.protocol.adapted
    assert "made with continuous=false sides=2" in adapted and f"wrapped in {wrapper}" in adapted


def test_several_choices_are_one_choice_of_their_combinations():
    buttons, sticks = (make(f"{MODULE}:{name}") for name in ("Buttons", "Sticks"))
    assert buttons.action_names == ("NOOP", "RIGHT", "LEFT", "LEFT+RIGHT")
    assert sticks.action_names == ("0 5", "0 6", "1 5", "1 6", "2 5", "2 6")
    assert "MultiDiscrete" in sticks.protocol.adapted and "as 6 actions" in sticks.protocol.adapted
    for envs, left, right in ((buttons, 2, 1), (sticks, 4, 5)):
        rewards = []
        for action in (left, right):
            envs.reset()
            rewards.append(envs.step(np.full(2, action)).reward)
        assert (rewards[0] + rewards[1] == 1).all()


def test_the_interface_of_before_is_played_where_that_is_said():
    assert np.array_equal(frames_of("OldHalves", old_api=True)[0], frames_of("Halves")[0])


def test_planes_are_shown_in_hues_of_their_own():
    planes = np.zeros((4, 2, 2), np.uint8)
    planes[0, 0, 0] = planes[2, 1, 1] = 255
    seen = planes_in_colour(planes)
    assert seen.shape == (2, 2, 3) and not seen[0, 1].any()
    assert seen[0, 0, 0] == 255 and seen[1, 1].tolist() != seen[0, 0].tolist()


def test_atari_has_none_of_these():
    for options in ({"pixels": True}, {"env_kwargs": ("a=1",)}, {"env_processes": 2}):
        with pytest.raises(UserError, match="is not for ALE/Pong-v5"):
            make("ALE/Pong-v5", **options)


SMOKE = ["train", "ppo", "--preset", "smoke", "--precision", "fp32", "--trunk", "plain"]


def test_a_run_keeps_how_its_game_is_made_for_every_verb(runs, capsys, tmp_path, monkeypatch):
    flags = ["--env", f"{MODULE}:Steered", "--env-kwargs", "continuous=False", "--size-px", "0"]
    flags += ["--pool", "1", "--wrapper", f"{MODULE}:Louder(times=5)", "--pixels"]
    assert arcadia.main([*SMOKE, "--name", "kept", *flags]) == 0
    assert "made with continuous=False; wrapped in " in capsys.readouterr().out
    assert arcadia.main(["eval", "kept", "--games", "2", "--json"]) == 0
    protocol = arcadia.evaluate("kept", games=2)["protocol"]
    assert "seen as it is drawn" in protocol["adapted"] and "64 x 64" in protocol["obs"]
    assert arcadia.main(["watch", "kept", "--video", str(tmp_path / "film.mp4")]) == 0
    assert arcadia.main(["resume", "kept", "--extend", "256"]) == 0
    # Sent to somebody who has named no module, it imports none, the wrapper's neither.
    (runs / "ppo" / "kept").rename(tmp_path / "sent")
    monkeypatch.setattr(trust, "typed", set())
    capsys.readouterr()
    assert arcadia.main(["eval", str(tmp_path / "sent")]) == 2
    assert "is not imported because a file asks for it" in capsys.readouterr().err


def test_a_wrappers_module_is_imported_only_if_a_person_named_it(runs, tmp_path, monkeypatch):
    flags = ["--env", "Arcadia/Catch-v0", "--wrapper", f"{MODULE}:Louder", "--eval-games", "0"]
    assert arcadia.main([*SMOKE, "--name", "loud", *flags]) == 0
    (runs / "ppo" / "loud").rename(tmp_path / "sent")
    monkeypatch.setattr(trust, "typed", set())
    with pytest.raises(UserError, match=r"wraps its game in a class of .* add --module"):
        arcadia.load(str(tmp_path / "sent"))
    assert arcadia.load(str(tmp_path / "sent"), module=MODULE).options.wrapper


def test_planes_are_learnt_from_watched_and_scored(runs, tmp_path):
    flags = ["--env", f"{MODULE}:Planes", "--size-px", "0", "--pool", "1", "--name", "planes"]
    assert arcadia.main([*SMOKE, *flags]) == 0
    agent = arcadia.load("planes")
    assert agent.network.cnn.spec.in_channels == 16 and agent.options.size_px == 16
    assert arcadia.main(["watch", "planes", "--video", str(tmp_path / "film.mp4")]) == 0


def test_registered_games_keep_their_place(monkeypatch):
    assert others.Halves.metadata and "Halves-v0" in gymnasium.registry
    assert np.array_equal(make("Halves-v0", size_px=16).reset(), frames_of("Halves")[0][0])
