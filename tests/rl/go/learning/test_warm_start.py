"""Games of others as rows: what is learnt of them, what is skipped, and what is said."""

import numpy as np
import pytest

from backbones.training.config import changed
from backbones.training.distributed import World
from backbones.training.errors import UserError
from rl.go.learning.replay import unpack
from rl.go.learning.warm_start import read_folder
from rl.go.train import JOB, PRESETS, GoTraining

# Black has all of a board of 3 by 3.
COUNTED = "(;GM[1]SZ[3]KM[0.5]RE[B+8.5];B[bb];W[];B[])"
RESIGNED = "(;GM[1]SZ[3]KM[0.5]RE[W+R];B[aa];W[bb];B[cc])"
WRONGLY = "(;GM[1]SZ[3]KM[0.5]RE[W+2.5];B[bb];W[];B[])"


@pytest.fixture
def folder(tmp_path):
    games = tmp_path / "games"
    (games / "more").mkdir(parents=True)
    texts = {
        "1": COUNTED,
        "2": RESIGNED,
        "more/3": WRONGLY,
        "4": "(;GM[1]SZ[5];B[cc])",
        "5": "no game",
        "6": "(;GM[1]SZ[3];B[bb];W[bb])",
    }
    for name, text in texts.items():
        (games / f"{name}.sgf").write_text(text)
    return games


def test_every_move_is_a_policy_and_a_true_count_an_outcome(folder):
    rows, line = read_folder(folder, 3, 100)
    assert len(rows) == 9 and rows["searched"].all()
    np.testing.assert_array_equal(rows["policy"].argmax(1)[:6], [4, 9, 9, 0, 4, 8])
    np.testing.assert_array_equal(rows["ended"], [1, 1, 1, 0, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(rows["value"][:3], [1, -1, 1])
    np.testing.assert_array_equal(rows["score"][:3], [8.5, -8.5, 8.5])
    np.testing.assert_array_equal(rows["ownership"][1], -np.ones(9))
    # White, to play second, sees a stone of the other's in the centre.
    assert unpack(rows[1:2], 3)[0, 1, 1, 1] == 255
    assert "9 positions of 3 games, 1 of them with their outcome" in line
    assert "2 that cannot be read, 1 not 3 by 3" in line


def test_only_the_newest_rows_are_kept(folder):
    rows, _ = read_folder(folder, 3, 4)
    assert len(rows) == 4
    whole, _ = read_folder(folder, 3, 100)
    assert rows.tobytes() == whole[-4:].tobytes()


def test_a_folder_without_a_game_is_refused_with_what_was_in_it(folder, tmp_path):
    with pytest.raises(UserError, match=r"no game to begin from .* 5 not 7 by 7"):
        read_folder(folder, 7, 100)
    with pytest.raises(UserError, match="is no folder of games"):
        read_folder(tmp_path / "nothing", 3, 100)


def test_a_run_begins_with_the_games(folder):
    run = changed(PRESETS["smoke"].run, precision="fp32")
    config = changed(PRESETS["smoke"], size=3, warm_start=str(folder), batch_size=8, run=run)
    training = GoTraining(JOB, config, World())
    lines = training.start()
    assert training.replay.added == 9 and "9 positions of 3 games" in lines[-1]
    training.turn()
    assert training.learner.updates >= 9 * config.reuse // 8
