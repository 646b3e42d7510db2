"""`arcadia review`: what moves lost, the SGF with it, the picture, and what cannot be reviewed."""

import numpy as np
import pytest
import sgfmill.sgf
from PIL import Image

import arcadia
from rl.go.engine import Engine, Limits
from rl.go.games import sgf
from rl.go.network.go_network import build_network, save_network
from rl.go.player import Candidate, Thoughts
from rl.go.review.annotate import annotate, nodes_of
from rl.go.review.chart import RED, draw_review, step
from rl.go.review.judge import Judged, Review, review_game
from rl.go.rules.board import BLACK, WHITE


class Oracle:
    """Thinks that C3 is right at first, then the pass, and that Black leads by stones on edges."""

    name = "oracle"

    def forget(self):
        pass

    def lead(self, position):
        return 0

    def search(self, position, count):
        self.count = count

    def thoughts(self, position):
        edge = {move for move in range(25) if {move // 5, move % 5} & {0, 4}}
        lead = -2.0 * sum(c == BLACK and m in edge for c, m in position.moves)
        lead += 1.0 * sum(c == WHITE and m in edge for c, m in position.moves)
        sign = 1 if position.to_play == BLACK else -1
        best = 25 if position.moves else 12
        found = Candidate(best, self.count, 0.5 + sign * lead / 100, sign * lead, 0.5, [best, 7])
        return Thoughts(self.count, found.winrate, found.score, [found], np.zeros(25))


def reviewed(text):
    root = sgf.parse(text)[0]
    heard = []
    return root, review_game(root, Engine(Oracle(), Limits()), 10, heard.append), heard


# Black loses 2 points by move 3, White 1 by move 4 and 1 by move 6.
GAME = "(;SZ[5]KM[0];B[cc];W[bb];B[aa];W[ba];B[dd];W[ea])"


def test_a_move_has_lost_what_the_better_one_would_have_kept():
    _, found, heard = reviewed(GAME)
    assert [move.lost for move in found.moves] == [0, 0, 2, 1, 0, 1]
    assert found.moves[0].better is None and found.moves[2].better.move == 25
    assert found.moves[2].chance_lost == pytest.approx(0.02)
    assert [p.lead for p in found.positions] == [0, 0, 0, -2, -1, -1, 0]
    assert found.positions[3].winrate == pytest.approx(0.48)
    assert heard == [1, 2, 3, 4, 5, 6, 7]
    assert [m.number for m in found.worst(WHITE, 1)] == [4]
    assert [m.number for m in found.worst(WHITE, 3)] == [4, 6]
    assert [m.number for m in found.worst(BLACK, 3)] == [3]


def test_the_end_of_a_game_is_counted():
    _, found, _ = reviewed("(;SZ[5]KM[3];B[cc];W[tt];B[])")
    assert found.positions[-1] == Judged(1.0, 22.0, None)
    _, played_on, _ = reviewed("(;SZ[5]KM[3];B[cc];W[tt];B[];W[aa])")
    assert played_on.moves[3].lost == 0 and played_on.moves[3].better is None


def test_values_stand_where_programs_look_and_better_moves_are_variations():
    root, found, _ = reviewed(
        "(;SZ[5]KM[0]C[before];B[cc];W[bb];B[aa]TE[1];W[ba](;B[dd];W[ea])(;B[ee]))"
    )
    annotate(root, found, by="an oracle", worst=3)
    again = sgf.parse(sgf.write(root))[0]
    line = list(again.main_line())
    assert len(line) == 7 and sgf.follow(again).moves == sgf.follow(root).moves
    assert line[0].one("C").startswith("before\nreviewed by an oracle\nblack: 0.7 points lost")
    assert line[3].properties["V"] == ["-2.0"] and line[3].properties["SBKV"] == ["48.00"]
    assert line[3].properties["SBKS"] == ["-2.00"]
    assert "move 3, black A5, loses 2.0 points (-2% to win); better: pass C4" in line[3].one("C")
    assert "BM" not in line[3].properties and line[4].properties["BM"] == ["1"]
    variation = line[2].children[1]
    assert variation.properties["B"] == [""] and variation.one("N") == "better by 2.0 points"
    assert variation.children[0].properties["W"] == ["cb"]
    assert [child.one("B") for child in line[4].children] == ["dd", "ee"]  # the file's own stay
    other = sgfmill.sgf.Sgf_game.from_string(sgf.write(root))
    assert [node.get_move() for node in other.get_main_sequence()][1] == ("b", (2, 2))


def test_moves_in_the_root_and_several_in_a_node_keep_their_numbers():
    root = sgf.parse("(;SZ[5]B[cc];AB[];W[bb]B[aa];W[ba])")[0]
    assert [(first, last) for _, _, first, last in nodes_of(root, 5)] == [(1, 1), (2, 3), (4, 4)]
    root, found, _ = reviewed("(;SZ[5]B[cc];W[aa]B[bb];B[dd])")
    annotate(root, found, by="an oracle", worst=3)
    # Black's move of a node comes first, so there is no place for White's variation.
    assert "move 3, white A5, loses 1.0" in root.children[0].one("C")
    assert len(root.children) == 1


def test_stones_set_up_and_moves_that_rules_forbid_are_reviewed():
    _, found, _ = reviewed("(;SZ[5]HA[2]AB[bb][dd];W[cc];B[aa])")
    assert [(m.colour, m.lost) for m in found.moves] == [(WHITE, 0), (BLACK, 2)]
    text = "(;SZ[5]RU[chinese]AB[aa]AW[ab][bb][ca]PL[B];B[ba])"  # suicide of two
    _, suicide, _ = reviewed(text)
    assert len(suicide.positions) == 2


def test_a_picture_has_both_curves_and_a_dot_for_each_bad_move():
    _, found, _ = reviewed(GAME)
    with_dots, without = (draw_review(found, "a game", worst) for worst in (3, 0))
    assert with_dots.shape == without.shape and with_dots.dtype == np.uint8
    assert not (without == RED).all(-1).any()
    red = (with_dots == RED).all(-1)
    columns = [x for x in range(red.shape[1]) if red[:, x].any()]
    assert len([x for x in columns if x - 1 not in columns]) == 3
    level = Review(5, [Judged(0.5, 0.0, None)] * 2, [])
    assert draw_review(level, "", 3).shape == with_dots.shape
    assert [step(span, 10) for span in (3.0, 11.0, 23.0, 1600.0)] == [1, 2, 5, 200]


@pytest.fixture
def game(tmp_path):
    path = tmp_path / "game.sgf"
    path.write_text(GAME)
    return path


@pytest.mark.parametrize("who", ["playouts", "network"])
def test_a_game_is_reviewed_into_a_file_and_a_picture(who, game, tmp_path, capsys):
    if who == "network":
        save_network(build_network("b2c32", 5, 5), tmp_path / "five.safetensors")
        who = str(tmp_path / "five.safetensors")
    words = ["review", str(game), who, "--visits", "20"]
    assert arcadia.main(words) == 0
    said = capsys.readouterr().out
    assert "100 %  7 / 7 positions" in said and "points lost a move" in said
    out = tmp_path / "game-review.sgf"
    root = sgf.read(out)[0]
    assert len(sgf.follow(root).moves) == 6
    assert all(0 <= float(node.one("SBKV")) <= 100 for node in root.main_line())
    with Image.open(tmp_path / "game-review.png") as picture:
        assert picture.size[0] > 500
    before = out.read_bytes()
    assert arcadia.main(words) == 2
    assert "game-review.sgf exists; choose another name, or --force" in capsys.readouterr().err
    assert arcadia.main([*words, "--force"]) == 0 and out.read_bytes() == before
    out.unlink()
    assert arcadia.main(words) == 2 and not out.exists()
    assert "game-review.png exists" in capsys.readouterr().err


BAD = {
    "(;SZ[5];B[cc]": "')' is missing",
    "(;SZ[5])": "the game has no moves to review",
    "(;SZ[5];B[cc];W[cc])": "a stone stands there",
    "(;SZ[5];B[cc];AB[aa])": "in the middle of the game",
    "(;SZ[9];B[cc])": "knows boards of 5, not of 9",
    "(;SZ[5:7];B[cc])": "is not a square board",
}


@pytest.mark.parametrize("text", BAD)
def test_what_cannot_be_reviewed_is_one_line_and_leaves_nothing(text, tmp_path, capsys):
    network, path = tmp_path / "five.safetensors", tmp_path / "game.sgf"
    save_network(build_network("b2c32", 5, 5), network)
    path.write_text(text)
    assert arcadia.main(["review", str(path), str(network)]) == 2
    error = capsys.readouterr().err
    assert BAD[text] in error and error.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["five.safetensors", "game.sgf"]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["nobody"], "'nobody' plays no Go"),
        (["random"], "random has no opinion"),
        (["--visits", "0"], "visits"),
        (["--game", "2"], "has 1 games, not 2"),
        (["--output", "game.txt"], "must end in .sgf"),
        (["--output", "x" * 300 + ".sgf"], "longer than 255 bytes"),
    ],
)
def test_mistakes_are_told_in_a_line(flags, said, game, capsys):
    assert arcadia.main(["review", str(game), *flags]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1


def test_a_file_that_is_not_there_is_named(capsys):
    assert arcadia.main(["review", "nowhere.sgf"]) == 2
    assert "nowhere.sgf: No such file" in capsys.readouterr().err
