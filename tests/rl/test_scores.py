"""Human-normalised scores, and the table behind them."""

from rl.scores import RANDOM_AND_HUMAN, human_normalised


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
