"""Games as files: what is written is read, and what is wrong is refused with its place."""

import tracemalloc

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sgfmill import sgf as sgfmill

import arcadia
from backbones.training.errors import UserError
from rl.go.games import sgf, sgf_tree
from rl.go.rules.position import Position, vertex

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
    deep = "(;SZ[9]" + "(;C[x]" * 20_000 + ")" * 20_001
    (root,) = sgf.parse(deep)
    assert sum(1 for _ in root.main_line()) == 20_001
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
    given.give_handicap([20, 30])
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
    monkeypatch.setattr(sgf_tree, "MOST_TOKENS", 1_000)
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


def watched(tmp_path, capsys, data, *args):
    """Return what `watch` prints of a file of these bytes, and its exit status."""
    path = tmp_path / "watched.sgf"
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    status = arcadia.main(["watch", str(path), *args])
    heard = capsys.readouterr()
    return heard.out + heard.err, status


@pytest.mark.parametrize(
    "declared, encoding, black, white",
    [
        ("Shift_JIS", "cp932", "望月", "髙橋"),  # a second byte is ], and NEC's characters
        ("gb2312", "gbk", "李喆", "王二"),  # outside GB2312
        ("GBK", "gb18030", "柯洁", "㐂"),
        ("EUC-KR", "cp949", "똠방", "백"),  # outside KS X 1001
        ("big5", "big5hkscs", "成功", "許"),  # a second byte is \
    ],
)
def test_a_declared_encoding_is_read_with_all_characters_of_its_superset(
    declared, encoding, black, white, tmp_path, capsys
):
    text = f"(;CA[{declared}]SZ[9]PB[{black}]PW[{white}]KM[6.5];B[ee])"
    said, status = watched(tmp_path, capsys, text.encode(encoding))
    assert status == 0 and said.startswith(f"{black} against {white}, 9 by 9, komi 6.5\n\nmove 1")


@pytest.mark.parametrize("broken", [b"caf\xe9", b"hello \xe4\xb8", b"\xff\xfe\x80"])
def test_a_byte_that_is_broken_costs_one_character_and_is_told(broken, tmp_path, capsys):
    data = "(;CA[UTF-8]SZ[9]PB[黒木]PW[白石];B[ee]C[".encode() + broken + b"];W[ge])"
    said, status = watched(tmp_path, capsys, data)
    assert status == 0 and said.startswith("黒木 against 白石, 9 by 9")
    assert "(some of its bytes are no UTF-8: shown as \N{REPLACEMENT CHARACTER})" in said
    (root,) = sgf.read(tmp_path / "watched.sgf")
    assert "\N{REPLACEMENT CHARACTER}" in root.children[0].one("C")
    assert root.children[0].children[0].one("W") == "ge"


@pytest.mark.parametrize(
    "encoding, name, black, white",
    [
        ("gb18030", "GB18030", "李喆", "王二"),
        ("gb18030", "GB18030", "聂卫平", "马晓春"),
        ("gb18030", "GB18030", "绝艺", "星阵"),
        ("big5", "Big5", "成功", "白"),
        ("big5", "Big5", "周俊勳", "林海峰"),
        ("big5", "Big5", "許功蓋", "黑方"),
        ("cp932", "Shift_JIS", "望月", "山田"),
        ("cp932", "Shift_JIS", "井山裕太", "一力遼"),
        ("cp932", "Shift_JIS", "ニギリ", "髙橋"),
        ("cp949", "EUC-KR", "박정환", "백"),
        ("cp949", "EUC-KR", "이세돌", "구리"),
        ("cp949", "EUC-KR", "방랑자", "하늘"),
        ("cp1252", "Latin-1", "José", "Müller"),
        ("cp1252", "Latin-1", "Ke Jié", "Ödön"),
    ],
)
def test_an_encoding_that_is_not_declared_is_guessed_and_told(
    encoding, name, black, white, tmp_path, capsys
):
    text = f"(;GM[1]FF[4]SZ[9]PB[{black}]PW[{white}]KM[6.5];B[ee];W[ge])"
    for head, why in (
        ("(;", "it names no encoding"),
        ("(;CA[punycode]", "'punycode' is not known"),
    ):
        said, status = watched(tmp_path, capsys, text.replace("(;", head).encode(encoding))
        assert status == 0 and said.startswith(f"{black} against {white}, 9 by 9, komi 6.5\n")
        assert f"(read as {name}, a guess: " in said and why in said
    # UTF-8 needs no guess, declared or not, and corrects what a file says wrongly of itself.
    for head, note in (("(;", 0), ("(;CA[UTF-8]", 0), ("(;CA[latin-1]", 1), ("(;CA[Big5]", 1)):
        said, _ = watched(tmp_path, capsys, text.replace("(;", head))
        assert said.startswith(f"{black} against {white}") or head == "(;CA[Big5]"
        assert ("read as" in said) <= note
    said, _ = watched(tmp_path, capsys, text.replace("(;", "(;CA[UTF-8]").encode(encoding))
    assert said.startswith(f"{black} against {white}") and "it names UTF-8" in said
    said, _ = watched(tmp_path, capsys, text.encode("utf-16"))
    assert said.startswith(f"{black} against {white}")


def test_stones_are_taken_away_and_changed_before_the_first_move():
    text = "(;SZ[9]AB[dd][ee][ff]AW[aa];AE[ee]AW[gg][ff]PL[W];W[cc]AE[ii])"
    position = sgf.follow(sgf.parse(text)[0])
    stood = {(colour, vertex(move, 9)) for colour, move in position.stones}
    assert stood == {(1, "D6"), (2, "A9"), (2, "G3"), (2, "F4")}
    assert position.moves == [(2, 20)]
    for wrong, said in (
        ("(;SZ[9]AB[dd]AE[dd])", "different points"),
        ("(;SZ[9]AE[zz])", "AE has a point"),
        ("(;SZ[9];B[dd];AE[dd])", "middle of the game"),
        ("(;SZ[9];B[dd];AB[ee])", "middle of the game"),
    ):
        with pytest.raises(UserError, match=said):
            sgf.follow(sgf.parse(wrong)[0])
    # What changes nothing is no set-up.
    same = sgf.follow(sgf.parse("(;SZ[9]AB[];B[dd];AE[ee]AB[dd];W[cc])")[0])
    assert len(same.moves) == 2 and same.stones == []


@pytest.mark.parametrize(
    "head, turn",
    [
        ("AB[dd][ee]", 1),
        ("HA[2]AB[dd][ee]", 2),
        ("HA[2]AB[dd][ee]PL[B]", 1),
        ("AB[dd]PL[W]", 2),
        ("HA[0]AB[dd][ee]", 1),
        ("AW[dd]", 1),
        ("AB[dd];AW[ee];PL[W];C[x]", 2),
    ],
)
def test_who_begins_follows_from_the_handicap_or_is_said(head, turn):
    position = sgf.follow(sgf.parse(f"(;SZ[9]{head})")[0])
    assert position.to_play == turn
    (again,) = sgf.parse(sgf.write(sgf.record(position)))
    assert sgf.follow(again).to_play == turn


@pytest.mark.parametrize(
    "white", ["\n", "\r\n", "\r", "\n\r", "\t", "\v", "\\\n ", "\u2028", "\x85"]
)
def test_simple_text_is_one_line_and_a_comment_keeps_its_own(white):
    (root,) = sgf.parse(f"(;SZ[9]PB[Ann{white}Black]C[a{white}b]RE[W+{white}R])")
    assert root.one("PB") == ("AnnBlack" if white == "\x85" else "Ann Black")
    assert root.one("RE").split()[-1].endswith("R")
    assert root.one("C") == {
        "\t": "a b",
        "\v": "a b",
        "\\\n ": "a b",
        "\u2028": "a\u2028b",
        "\x85": "ab",
    }.get(white, "a\nb")


@pytest.mark.parametrize(
    "said, komi, told",
    [
        ("6.5", 6.5, False),
        ("6,5", 6.5, False),
        (" 7.50 ", 7.5, False),
        ("-5.5", -5.5, False),
        ("", 0.0, False),
        ("0", 0.0, False),
        ("375", 7.5, True),
        ("275", 5.5, True),
        ("650", 6.5, True),
        ("750", 7.5, True),
        ("3.75", 7.5, True),
        ("3,75", 7.5, True),
        ("3 3/4子", 7.5, True),
        ("3又3/4子", 7.5, True),
        ("2 3/4", 5.5, True),
        ("3.75zi", 7.5, True),
        ("6目半", 6.5, False),
        ("6.5目", 6.5, False),
        ("6집반", 6.5, False),
        ("+.5", 0.5, False),
        ("-375", -7.5, True),
    ],
)
def test_komi_is_read_in_the_units_that_servers_write(said, komi, told):
    position = sgf.follow(sgf.parse(f"(;SZ[9]KM[{said}];B[ee])")[0])
    assert position.komi == komi
    assert [note for note in position.notes if f"KM[{said.strip()}] is taken for" in note] == (
        position.notes if told else []
    )
    assert len(position.notes) == told


@pytest.mark.parametrize("said", ["lots", "nan", "1e9", "6.5.5", "1/0", "999999", "--5", "3 3/0"])
def test_komi_that_is_none_is_refused(said):
    with pytest.raises(UserError, match="is no komi"):
        sgf.follow(sgf.parse(f"(;SZ[9]KM[{said}])")[0])


def test_what_was_played_is_replayed_also_against_the_rules_of_the_file(tmp_path, capsys):
    # Sending two, returning one: no simple ko, and the board of before move 1 comes back.
    text = "(;SZ[2]RU[cgos];B[aa];W[ba];B[ab];W[bb];B[aa];W[];B[ab];W[ba])"
    position = sgf.follow(sgf.parse(text)[0])
    assert len(position.moves) == 8 and position.rules.ko == "positional"
    (note,) = position.notes
    assert note.startswith("move 8, white B2: the board was there before (positional ko)")
    assert note.endswith("played as recorded")
    said, status = watched(tmp_path, capsys, text)
    assert status == 0 and f"({note})\n" in said
    simple = sgf.follow(sgf.parse(text.replace("cgos", "chinese"))[0])
    assert simple.moves == position.moves and simple.notes == []
    assert (simple.board["colour"] == position.board["colour"]).all()
    # A suicide of two stones, which New Zealand allows and nobody says.
    suicide = "(;SZ[5]AB[aa]AW[ca][ab][bb];B[ba];W[cb])"
    taken = sgf.follow(sgf.parse(suicide)[0])
    assert taken.at(0) == taken.at(1) == 0 and "suicide: played as recorded" in taken.notes[0]
    # What no rules allow stays refused: a ko taken back at once.
    ko = "(;SZ[5]AB[ba][ab][bc]AW[ca][bb][db][cc];B[cb];W[bb])"
    with pytest.raises(UserError, match="move 2, white B4: the board was there before"):
        sgf.follow(sgf.parse(ko)[0])


@pytest.mark.parametrize(
    "said, ko, scoring, notes",
    [
        ("", "situational", "territory", 0),
        ("Chinese", "simple", "area", 0),
        ("Japanese rules", "simple", "territory", 0),
        ("Chinese, OGS", "positional", "area", 0),
        ("koSIMPLEscoreTERRITORYtaxSEKIsui0", "simple", "territory", 0),
        ("koSITUATIONALscoreAREAtaxNONEsui1button1whbN", "situational", "area", 2),
        ('{"ko":"SIMPLE","scoring":"AREA","suicide":false}', "simple", "area", 0),
        ("Old Moon", "situational", "territory", 1),
        ("koSPIGHT", "situational", "territory", 1),
        ("日本", "simple", "territory", 0),
        ("NZ", "situational", "area", 0),
    ],
)
def test_rules_that_a_file_does_not_name_stay(said, ko, scoring, notes):
    before = sgf.Rules(ko="situational", scoring="territory")
    position = sgf.begin(sgf.parse(f"(;SZ[9]RU[{said}])")[0], before)
    assert (position.rules.ko, position.rules.scoring) == (ko, scoring)
    assert len(position.notes) == notes
    (again,) = sgf.parse(sgf.write(sgf.record(position)))
    assert sgf.begin(again).rules == position.rules
