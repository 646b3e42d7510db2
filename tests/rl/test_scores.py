"""Human-normalised scores, and the table behind them."""

from rl.games.options import EnvOptions
from rl.scores import RANDOM_AND_HUMAN, human_normalised, normalised_tag


def test_human_normalised_scores():
    assert human_normalised("pong", 14.6) == 1
    assert human_normalised("pong", -20.7) == 0
    assert abs(human_normalised("breakout", 16.1) - 0.5) < 1e-9
    assert human_normalised("no_such_game", 1.0) is None
    assert len(RANDOM_AND_HUMAN) == 57


def test_random_play_scores_points_at_video_pinball():
    """As DeepMind's dqn_zoo has it; the table of google/dopamine has 0."""
    assert human_normalised("video_pinball", 16256.9) == 0
    assert human_normalised("video_pinball", 17667.9) == 1


def test_every_game_of_the_table_is_a_registered_one():
    from rl.games.atari import atari_ids

    assert set(RANDOM_AND_HUMAN) <= set(atari_ids().values())


def test_games_that_were_cut_short_are_not_compared_with_those_of_humans():
    whole, short = EnvOptions(), EnvOptions(max_frames=400)
    tag = normalised_tag("eval", "ALE/Pong-v5", 14.6, 108_000, whole)
    assert tag == {"eval/human_normalised": 1.0}
    assert normalised_tag("eval", "ALE/Pong-v5", 0.0, 400, short) == {}
    # A limit that no game reached cut nothing short.
    assert normalised_tag("eval", "ALE/Pong-v5", 14.6, 399, short) == tag
    assert normalised_tag("eval", "Arcadia/Catch-v0", 1.0, 10, whole) == {}
