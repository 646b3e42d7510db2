"""Seeds of games."""

from rl.games.contract import game_seed


def test_game_seeds_differ_by_run_environment_and_episode():
    seeds = {
        game_seed(run, env, episode) for run in range(4) for env in range(4) for episode in range(4)
    }
    assert len(seeds) == 64
    assert all(0 <= seed < 2**31 for seed in seeds)
    assert game_seed(1, 2, 3) == game_seed(1, 2, 3)
