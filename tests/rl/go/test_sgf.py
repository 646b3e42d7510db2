"""Games as files: what is written is read, and what is wrong is refused with its place."""

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sgfmill import sgf as sgfmill

import arcadia
from backbones.training.errors import UserError
from rl.go import sgf
from rl.go.position import Position, vertex

GAME = r"""(;GM[1]FF[4]SZ[9]KM[6.5]PB[Ann]PW[Bo]RU[Chinese]RE[W+R]C[a \] in\
side]
;B[ee];W[ge](;B[cc];W[])(;B[dd]C[another try]))"""


def test_a_game_with_variations_is_read():
    (root,) = sgf.parse(GAME)
    assert root.one("C") == "a ] inside" and root.one("PB") == "Ann"
    position = sgf.follow(root)
    assert [vertex(move, 9) for _, move in position.moves] == ["E5", "G5", "C7", "pass"]
    assert position.komi == 6.5 and position.rules.ko == "simple"
    fork = root.children[0].children[0]
    assert [child.one("B") for child in fork.children] == ["cc", "dd"]
    assert len(sgf.follow(root, 1).moves) == 1


def test_what_is_written_is_read_again_also_by_others():
    (root,) = sgf.parse(GAME)
    (again,) = sgf.parse(sgf.write(root))
    assert sgf.write(again) == sgf.write(root)
    theirs = sgfmill.Sgf_game.from_string(sgf.write(root))
    assert theirs.get_root().get("C") == "a ] inside" and theirs.get_komi() == 6.5
    assert [n.get_move() for n in theirs.get_main_sequence()][1] == ("b", (4, 4))


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.integers(2, 19))
def test_any_text_and_any_game_survive(text, size):
    position = Position(size, 5.5)
    for _ in range(8):
        legal = position.legal_moves().nonzero()[0]
        position.play(int(legal[len(text) * 7 % len(legal)]))
    root = sgf.record(position, black=text or "x")
    (again,) = sgf.parse(sgf.write(root))
    assert again.one("PB") == (text or "x")
    assert sgf.follow(again).moves == position.moves


def test_rectangles_of_points_and_both_ways_to_pass():
    (root,) = sgf.parse("(;SZ[9]AB[aa:bc][ee]AW[ii]PL[W];W[tt];B[])")
    position = sgf.follow(root)
    assert len(position.stones) == 8 and len(position.moves) == 2 and position.over


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "there is no game"),
        ("\x00\xff\x07GIF89a", "there is no game"),
        ("(;SZ[9];B[ee]", "ends inside a game"),
        ("(;SZ[9]\n;B[ee]\n;W[ee])", "line 3, column 1: move 2, white E5: a stone stands there"),
        ("(;SZ[9]\n  ;B[zz])", r"line 2, column 3: B\[zz\] is not on 9 by 9"),
        ("(;SZ[1])", "1 by 1"),
        ("(;SZ[26])", "26 by 26"),
        ("(;SZ[9:13])", "not a square"),
        ("(;SZ[nine])", "not a square"),
        ("(;SZ[9]KM[lots])", "is no komi"),
        ("(;SZ[9]AB[aa][aa])", "different points"),
        ("(;SZ[9];B[aa];AW[bb])", "middle of the game"),
        ("(;SZ[9] !B[aa])", "line 1, column 9: '!B.*' belongs nowhere"),
        ("(;[aa])", "without a property"),
        ("(;SZ[9](B[aa]))", "ok"),
        ("(;b[aa])", "is no property"),
        ("(;GM[2]SZ[8];B[ee])", "another game than Go"),
    ],
)
def test_bad_files_are_refused_with_their_place(text, said):
    if said == "ok":  # a variation that goes on without a node of its own: read as it is meant
        assert sgf.parse(text)[0].one("B") == "aa"
        return
    with pytest.raises(UserError, match=said):
        sgf.follow(sgf.parse(text)[0])


def test_depth_is_no_danger(tmp_path):
    deep = "(;SZ[9]" + "(;C[x]" * 50_000 + ")" * 50_001
    (root,) = sgf.parse(deep)
    assert sum(1 for _ in root.main_line()) == 50_001
    assert sgf.parse(sgf.write(root))[0].one("SZ") == "9"
    long = "(;SZ[9]" + ";B[];W[]" * 600 + ")"
    assert len(sgf.follow(sgf.parse(long)[0]).moves) == 1_200
    endless = "(;SZ[9]" + ";B[];W[]" * 1_000 + ")"
    with pytest.raises(UserError, match="a game ends after"):
        sgf.follow(sgf.parse(endless)[0])


@settings(max_examples=300, deadline=None)
@example("KM)")  # a property without a value
@given(st.text(alphabet="();[]\\:BWABSZKM9atx \n", max_size=60))
def test_junk_is_a_game_or_is_refused(text):
    try:
        for root in sgf.parse("(;" + text):
            sgf.follow(root)
    except UserError as error:
        assert "\n" not in str(error)


def test_encodings(tmp_path):
    for encoding, said in (("utf-8", "UTF-8"), ("gbk", "GB2312"), ("latin-1", "ISO-8859-1")):
        name = "Ke Jié" if encoding == "latin-1" else "柯洁"
        path = tmp_path / f"{encoding}.sgf"
        path.write_bytes(f"(;CA[{said}]SZ[9]PB[{name}])".encode(encoding))
        assert sgf.read(path)[0].one("PB") == name
    with pytest.raises(UserError, match="No such file"):
        sgf.read(tmp_path / "none.sgf")


def test_a_game_is_watched_move_by_move(tmp_path, capsys):
    path = tmp_path / "game.sgf"
    path.write_text(GAME)
    assert arcadia.main(["watch", str(path)]) == 0
    said = capsys.readouterr().out
    assert "Ann against Bo, 9 by 9, komi 6.5" in said and "result: W+R" in said
    assert said.count("A B C D E F G H J") == 2 * 4
    assert "move 4: white pass" in said and ">X" in said
    path.write_text("(;SZ[9]PB[\x1b[31mred\\]\x07];B[ee];W[ee])")
    assert arcadia.main(["watch", str(path)]) == 2
    heard = capsys.readouterr()
    assert f"{path}, line 1, column" in heard.err and "[31mred] against" in heard.out
    assert "\x1b" not in heard.out and "\x07" not in heard.out


def test_rules_and_who_begins_are_written():
    for name in ("tromptaylor", "japanese", "chinese", "aga", "cgos", "chineseogs"):
        position = Position(9, 7.0, sgf.RULES[name])
        position.set_up([(1, 20), (2, 30)])
        position.whose(2)
        root = sgf.record(position)
        assert root.one("RU") == name
        (again,) = sgf.parse(sgf.write(root))
        assert sgf.follow(again).to_play == 2
    given = Position(9)
    given.set_up([(1, 20), (1, 30)])
    assert sgf.record(given).one("HA") == "2"
    with pytest.raises(UserError, match="SZ"):
        sgf.follow(sgf.parse(f"(;SZ[{'9' * 5000}])")[0])


def peak_of(action):
    """Return the most memory in bytes that an action took at a time."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("inside", ["x", r"\a", r"a\]", "\\\\", "\n", "\x07"])
def test_a_long_comment_costs_a_few_times_its_size(inside, tmp_path):
    count = 2_000_000 // len(inside)
    path = tmp_path / "long.sgf"
    path.write_text(f"(;GM[1]SZ[9]C[{inside * count}];B[ee])")
    roots = []
    assert peak_of(lambda: roots.extend(sgf.read(path))) < 12 * 2_000_000
    kept = {"x": "x", r"\a": "a", r"a\]": "a]", "\\\\": "\\", "\n": "\n", "\x07": ""}[inside]
    assert roots[0].one("C") == kept * count and len(sgf.follow(roots[0]).moves) == 1


@pytest.mark.parametrize("piece", ["(;B[aa]", ";", "(", "AA[]", "[aa]"])
def test_what_a_file_is_made_of_is_counted(piece, monkeypatch):
    monkeypatch.setattr(sgf, "MOST_TOKENS", 1_000)
    with pytest.raises(UserError, match="more than 1,000 nodes, properties and parentheses"):
        sgf.parse("(;AB[bb]" + piece * 2_000 + ")" * 2_001)


def test_a_list_of_whole_boards_is_not_multiplied_out():
    (root,) = sgf.parse("(;SZ[19]AB" + "[aa:ss]" * 20_000 + ")")

    def refused():
        with pytest.raises(UserError, match="different points"):
            sgf.follow(root)

    assert peak_of(refused) < 2**20


def test_only_encodings_of_games_are_taken_from_a_file(tmp_path):
    path = tmp_path / "game.sgf"
    # Decoded as punycode, this takes the square of its length; what it holds is plain ASCII.
    path.write_bytes(b"(;CA[punycode]SZ[9]C[" + b"a" * 100 + b"-" + b"z9" * 200_000 + b"];B[aa])")
    for name in (b"punycode", b"idna___", b"utf_7__", b"rot13__", b"unicode_escape", b"no\xff\xff"):
        path.write_bytes(path.read_bytes().replace(b"punycode", name))
        assert sgf.read(path)[0].one("C").endswith("z9z9")
    for name, encoding in (("Shift_JIS", "cp932"), ("EUC-KR", "cp949"), ("Big5", "big5hkscs")):
        path.write_bytes(f"(;CA[{name}]SZ[9]PB[本])".encode(encoding))
        assert sgf.read(path)[0].one("PB") == "本"


def test_a_message_shows_the_beginning_of_a_value_only():
    for text in ("(;SZ[9];B[{}])", "(;SZ[{}])", "(;KM[{}])", "(;[{}])", "(;GM[{}])"):
        with pytest.raises(UserError) as error:
            sgf.follow(sgf.parse(text.format("9" * 100_000))[0])
        assert len(str(error.value)) < 120
    with pytest.raises(UserError, match="column 4: ends inside a value: ']' is missing"):
        sgf.parse(r"(;C[open\])")


def test_a_larger_file_is_refused_unread(tmp_path):
    path = tmp_path / "large.sgf"
    with path.open("wb") as file:
        file.truncate(sgf.LARGEST_FILE + 1)
    with pytest.raises(UserError, match="larger than 16 MiB"):
        sgf.read(path)


def test_names_that_are_no_utf8_are_written_with_a_question_mark():
    text = sgf.write(sgf.record(Position(9), black="k\udcf6ter", white="k\xf6ter"))
    assert "PB[k?ter]" in text and "PW[köter]" in text and text.encode()
