"""GTP: what clients say, what they must hear, and what no line may do."""

import contextlib
import io
import json
import os
import re
import signal
import sys
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backbones.training.errors import UserError
from rl.go.engine import Engine, Limits
from rl.go.gtp import serve
from rl.go.gtp.client import EngineFailed, GtpEngine
from rl.go.gtp.interrupt import Interrupt
from rl.go.gtp.protocol import COMMANDS, Session
from rl.go.player import RandomPlayer
from rl.go.rules.position import Position

ANSWER = re.compile(r"[=?]\d*( [^\n]+)?(\n[^\n]+)*\n\n")
SERVE = f"{sys.executable} -m arcadia gtp"


def talk(*lines, visits_a_move=40):
    """Send lines to an engine of few visits; return what it answered to all of them."""
    config = serve.Config(visits=visits_a_move, seconds=5.0, seed=1)
    serve.load_commands()
    out = io.StringIO()
    session = Session(serve.build_engine(config), out, version="1")
    session.serve([*lines, "quit"])
    text = out.getvalue()
    assert text.endswith("=\n\n")
    return text[: -len("=\n\n")]


def test_ids_comments_carriage_returns_and_junk():
    said = talk(
        "12 name\r\n",
        "# a comment",
        "",
        "   ",
        "protocol_version # which?",
        "\x07name\x01",
        "7 nonsense",
        "7",
        "known_command\tplay",
        "known_command fly",
        "play b",
        "play red D4",
        "play b Z9",
        "play b I5",
        "komi lots",
        "boardsize nine",
        "boardsize 26",
        "boardsize 1",
        "99 play b D4",
        "play w D4",
        "undo",
        "undo",
        "genmove green",
    )
    assert said.split("\n\n")[:-1] == [
        "=12 Arcadia",
        "= 2",
        "= Arcadia",
        "?7 unknown command",
        "?7 unknown command",
        "= true",
        "= false",
        "? syntax error: 2 arguments expected",
        "? syntax error: 'red' is no colour",
        "? invalid coordinate: 'Z9' is not a point such as B8, or pass",
        "? invalid coordinate: 'I5' is not a point such as B8, or pass",
        "? syntax error: 'lots' is no number",
        "? syntax error: 'nine' is no integer",
        "? unacceptable size: 2 to 19 are played",
        "? unacceptable size: 2 to 19 are played",
        "=99",
        "? illegal move: white D4: a stone stands there",
        "=",
        "? cannot undo",
        "? syntax error: 'green' is no colour",
    ]


def test_every_command_of_the_list_is_there():
    wanted = """protocol_version name version known_command list_commands quit boardsize clear_board
    komi play genmove undo showboard final_score final_status_list time_settings time_left
    fixed_handicap place_free_handicap set_free_handicap loadsgf printsgf lz-analyze kata-analyze
    lz-genmove_analyze kata-genmove_analyze get_komi kata-get-rules kata-set-rules kgs-rules
    kgs-time_settings kata-list_time_settings kata-time_settings kgs-genmove_cleanup kgs-game_over
    clear_cache stop cputime gomill-cpu_time gomill-explain_last_move gogui-analyze_commands
    gogui-play_sequence gogui-setup gogui-setup_player gg-undo gogui-interrupt set_position
    rectangular_boardsize last_move move_history reg_genmove heatmap""".split()
    serve.load_commands()
    assert [name for name in wanted if name not in COMMANDS] == []


def test_a_game_is_played_scored_and_written(tmp_path):
    path = tmp_path / "game.sgf"
    said = talk(
        "boardsize 5",
        "komi 0.5",
        "play b C3",
        "genmove w",
        "play b pass",
        "genmove w",
        "genmove b",
        "last_move",
        "showboard",
        f"printsgf {path}",
        f"printsgf {path}",
        "printsgf",
        "final_score",
        f"loadsgf {path} 2",
        "move_history",
        "loadsgf /none.sgf",
        "gomill-explain_last_move",
    ).split("\n\n")
    assert re.fullmatch(r"= [A-E][1-5]", said[3])
    assert said[9] == "=" and "File exists" in said[10]
    assert said[11].startswith("= (;GM[1]FF[4]") and said[11].count("\n\n") == 0
    assert re.fullmatch(r"= [BW]\+[\d.]+", said[12])
    assert said[13] == "= white" and said[14] == "= black C3"
    assert said[15].startswith("? cannot load file: /none.sgf")


def test_dead_stones_are_named_and_counted_off():
    # Black owns all but a lone white stone in a corner of 5 x 5.
    stones = "b B1 b B2 b B3 b B4 b B5 b D1 b D2 b D3 b D4 b D5 w E1"
    said = talk(
        "boardsize 5",
        "komi 0",
        f"set_position {stones}",
        "final_status_list dead",
        "final_score",
        "final_status_list alive",
        "final_status_list seki",
        "final_status_list odd",
    ).split("\n\n")
    assert said[3] == "= E1" and said[4] == "= B+25"
    assert len(said[5].split("\n")) == 2 and said[6] == "="
    assert said[7].startswith("? syntax error")


def test_handicaps():
    said = talk(
        "fixed_handicap 2",
        "fixed_handicap 2",
        "clear_board",
        "place_free_handicap 12",
        "clear_board",
        "set_free_handicap D4 D4",
        "set_free_handicap D4 pass",
        "set_free_handicap D4 E5",
        "genmove w",
        "clear_board",
        "fixed_handicap 40",
        "boardsize 2",
        "place_free_handicap 3",
    ).split("\n\n")
    assert said[0] == "= C3 G7" and said[1] == "? board not empty"
    assert len(set(said[3].split()[1:])) == 12
    assert said[5].startswith("? bad vertex list") and said[6].startswith("? bad vertex list")
    assert said[7] == "=" and re.fullmatch(r"= [A-J]\d", said[8])
    assert said[10].startswith("? invalid number") and len(said[12].split()) == 4


def test_an_analysis_goes_on_until_a_line_comes_and_reads_as_its_clients_read_it():
    out = io.StringIO()
    serve.load_commands()
    session = Session(serve.build_engine(serve.Config(size=5)), out)

    def heard(answer, lines):
        """Wait until the last answer has so many lines, however long this machine takes."""
        while out.getvalue().rpartition(answer)[2].count("\n") < lines:
            time.sleep(0.01)

    def lines():
        yield "3 kata-analyze b 5 ownership true rootInfo true maxmoves 3"
        heard("=3", 3)
        yield "4 lz-analyze 5"
        heard("=4", 2)
        yield "5 kata-genmove_analyze w interval 10"
        yield "kata-analyze b avoid b D4 3"
        yield "quit"

    session.serve(lines())
    kata, lz, moved, refused, _, _ = out.getvalue().split("\n\n")
    assert kata.startswith("=3\ninfo move ") and kata.count("\n") >= 3
    info = r"info move \S+ visits \d+ utility \S+ winrate [01]\.\d+ .*? order \d pv [A-E1-5pas ]+"
    infos = re.findall(info, kata.split("\n")[1])
    assert 1 <= len(infos) <= 3 and "rootInfo visits" in kata
    owned = kata.split("\n")[1].split("ownership ")[1].split()
    assert len(owned) == 25 and all(-1 <= float(value) <= 1 for value in owned)
    assert re.match(
        r"=4\ninfo move [A-E]\d visits \d+ winrate \d+ prior \d+ lcb \d+ order 0 pv", lz
    )
    assert re.search(r"\nplay ([A-E]\d|pass|resign)$", moved) and moved.startswith("=5\n")
    assert refused == "? avoid is not supported"


def test_rules_and_times_are_taken_by_name():
    said = talk(
        "kata-get-rules",
        "kata-set-rules japanese",
        "kata-get-rules",
        'kata-set-rules {"ko":"SITUATIONAL","scoring":"AREA","suicide":true}',
        "kata-get-rules",
        "kgs-rules moon",
        "kata-set-rules {",
        "kgs-time_settings none",
        "kgs-time_settings byoyomi 60 10 3",
        "time_left b 5 2",
        "kata-time_settings fischer-capped 60 5 120 30",
        "kata-time_settings sundial",
        "time_settings 0 0 0",
        "time_settings -1 0 0",
    ).split("\n\n")
    first = json.loads(said[0][2:])
    assert first["ko"] == "POSITIONAL" and first["friendlyPassOk"]
    assert json.loads(said[2][2:])["scoring"] == "TERRITORY"
    assert json.loads(said[4][2:])["suicide"] and not json.loads(said[4][2:])["friendlyPassOk"]
    assert said[5].startswith("? unknown rules") and said[6].startswith("? unknown rules")
    assert said[7:11] == ["="] * 4 and said[11].startswith("? unknown time system")
    assert said[12] == "=" and "not between" in said[13]


def test_gogui_sets_up_and_plays_sequences_whole_or_not_at_all():
    said = talk(
        "gogui-play_sequence b D4 w E5 b D4",
        "move_history",
        "gogui-play_sequence b D4 w E5",
        "move_history",
        "gg-undo 3",
        "gg-undo 2",
        "gogui-setup b D4 w E5",
        "gogui-setup_player w",
        "showboard",
        "heatmap",
        "arcadia-ownership",
        "gogui-analyze_commands",
        "cputime",
    ).split("\n\n")
    assert said[0].startswith("? illegal move") and said[1] == "="
    assert said[3] == "= white E5\nblack D4" and said[4] == "? cannot undo" and said[5] == "="
    assert "white to play" in said[8] and len(said[9].strip().split("\n")) == 11
    assert said[10].startswith("= INFLUENCE A9 ") and float(said[12][2:]) > 0


WORDS = st.sampled_from(
    [
        *"b w black red D4 Q16 pass resign 0 1 5 9 19 26 -3 1e9 nan inf true maxmoves".split(),
        *"interval ownership none byoyomi canadian japanese {} [ A1 T19 dead".split(),
        *"alive é \x00 #".split(),
    ]
)


@pytest.fixture(scope="module")
def fuzzed():
    serve.load_commands()
    out = io.StringIO()
    session = Session(Engine(RandomPlayer(), Limits(visits=1), Position(5)), out)
    session.lines.put("")  # whoever listens for another line has one: analyses end at once
    return session, out


@settings(max_examples=1_000, deadline=None)
@given(st.data())
def test_any_command_gets_one_well_formed_answer(fuzzed, data):
    session, out = fuzzed
    # Files of the machine are left alone.
    names = sorted(set(COMMANDS) - {"loadsgf", "printsgf"})
    name = data.draw(st.one_of(st.sampled_from(names), st.text(max_size=8)), "name")
    words = data.draw(st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=5), "words")
    number = data.draw(st.sampled_from(["", "1 ", "007 "]), "id")
    out.seek(0)
    out.truncate()
    line = f"{number}{name} {' '.join(words)}"
    session.answer(line)
    said = out.getvalue()
    assert not said or ANSWER.fullmatch(said), (line, said)
    heard = "".join(c for c in line.split("#")[0] if c == "\t" or (c >= " " and c != "\x7f"))
    assert said or not heard.split()
    out.seek(0)
    out.truncate()
    session.answer("5 name")
    assert out.getvalue() == "=5 Arcadia\n\n"


# What the programs send when they meet an engine, as their sources have it.
OPENINGS = {
    "Sabaki": [
        "1 name",
        "2 version",
        "3 protocol_version",
        "4 list_commands",
        "5 clear_board",
        "6 boardsize 9",
        "7 clear_board",
        "8 komi 7",
        "9 play B E5",
        "10 lz-genmove_analyze W 50",
        "11 lz-analyze B 50",
        "12 protocol_version",
        "13 undo",
        "14 genmove W",
    ],
    "Lizzie": [
        "0 name",
        "1 version",
        "2 list_commands",
        "3 komi 7.5",
        "4 boardsize 9",
        "5 clear_board",
        "6 kata-get-rules",
        "7 play B C3",
        "8 lz-analyze 10",
        "9 time_left B 0 0",
        "10 play W G7",
        "11 kata-analyze B 10 ownership true",
        "12 stop",
        "13 undo",
    ],
    "GoGui": [
        "protocol_version",
        "list_commands",
        "name",
        "version",
        "gogui-analyze_commands",
        "boardsize 9",
        "clear_board",
        "komi 6.5",
        "time_settings 600 30 5",
        "gogui-play_sequence B E5 W C3",
        "genmove b",
        "gogui-interrupt",
        "undo",
        "final_score",
        "cputime",
    ],
    "gtp2ogs": [
        "list_commands\r",
        "name\r",
        "version\r",
        "boardsize 9\r",
        "clear_board\r",
        "komi 6.5\r",
        "kgs-rules japanese\r",
        "kgs-time_settings byoyomi 600 30 5\r",
        "fixed_handicap 3\r",
        "time_left black 600 0\r",
        "time_left white 30 5\r",
        "genmove w\r",
        "final_status_list dead\r",
        "kgs-game_over\r",
    ],
}


@pytest.mark.parametrize("client", OPENINGS)
def test_clients_open_without_an_error(client):
    said = talk(*OPENINGS[client])
    assert not [line for line in said.split("\n") if line.startswith("?")], said
    answers = re.findall(r"^=(\d*)", said, re.MULTILINE)
    assert len(answers) == len(OPENINGS[client])
    if client in ("Sabaki", "Lizzie"):
        assert answers == [line.split()[0] for line in OPENINGS[client]]


@pytest.mark.slow
def test_the_command_answers_on_pipes_and_leaves():
    engine = GtpEngine(f"{SERVE} --visits 20 --name KataGo --override-version 1.15 --quiet-stderr")
    try:
        assert engine.ask("name") == "KataGo" and engine.ask("version") == "1.15"
        assert re.fullmatch(r"[A-J]\d", engine.ask("genmove b"))
        with pytest.raises(EngineFailed, match="unknown command"):
            engine.ask("fly")
    finally:
        engine.close()
    assert engine.process.returncode == 0


def test_a_quiet_session_leaves_standard_error_as_it_was(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"quit\n")))
    before = sys.stderr
    assert serve.main(serve.Config(run="random", quiet_stderr=True)) == 0
    assert sys.stderr is before and capsys.readouterr().out == "=\n\n"


def test_a_program_that_is_none_or_says_nothing_is_told_so():
    with pytest.raises(EngineFailed, match="cannot be started"):
        GtpEngine("no-such-program --mode gtp")
    for line, said, patience_s in (("true", "died", 60.0), ("sleep 5", "no answer", 0.3)):
        engine = GtpEngine(line, patience_s=patience_s)
        try:
            with pytest.raises(EngineFailed, match=said):
                engine.ask("name")
        finally:
            engine.close()


def test_dead_stones_are_judged_anew_after_a_move_of_its_own():
    stones = "b B1 b B2 b B3 b B4 b B5 b D1 b D2 b D3 b D4 b D5 w E1"
    said = talk(
        "boardsize 5",
        "komi 0",
        f"set_position {stones}",
        "genmove b",
        "final_status_list dead",
        "kata-set-rules " + "[" * 3000,
    ).split("\n\n")
    assert said[4] == "= E1" or said[3] in ("= E2", "= E3")  # it may have taken the stone
    assert said[5].startswith("? unknown rules")


@pytest.mark.parametrize("rules, passes", [("chinese", False), ("japanese", False), ("cgos", True)])
def test_a_pass_is_answered_by_one_only_where_it_wins_by_the_count_that_follows(rules, passes):
    # Two black stones hold all of 5 x 5; with every stone alive White has half a point more.
    said = talk(
        "boardsize 5",
        f"kata-set-rules {rules}",
        "komi 0.5",
        "play b C3",
        "play w B4",
        "play b pass",
        "genmove w",
        "play b pass",
        "play w pass",
        "final_score",
        visits_a_move=1_500,
    ).split("\n\n")
    assert (said[6] == "= pass") == passes
    assert not passes or said[9] == "= W+0.5"


def told(*lines, **limits):
    """Return the answers to lines, one each."""
    return talk(*lines, **limits).split("\n\n")[:-1]


def test_rules_are_taken_in_every_form_of_katagos_and_what_is_not_played_is_named():
    serve.load_commands()
    session = Session(Engine(RandomPlayer(), Limits(visits=1), Position(5)), io.StringIO())

    def asked(line):
        session.out = io.StringIO()
        session.answer(line)
        return session.out.getvalue().strip()

    def rules():
        return json.loads(asked("kata-get-rules")[2:])

    for text, ko, scoring, suicide in (
        ("koSIMPLEscoreAREAtaxNONEsui0", "SIMPLE", "AREA", False),
        ("kosituational,scoreterritory,taxseki,sui1", "SITUATIONAL", "TERRITORY", True),
        ('{"ko":"SIMPLE","scoring":"AREA","suicide":"false"}', "SIMPLE", "AREA", False),
        ('{"ko":"SIMPLE", "score":"AREA", "suicide":"True"}', "SIMPLE", "AREA", True),
        ('{"ko":"SIMPLE","suicide":0,"tax":"NONE","hasButton":false}', "SIMPLE", "AREA", False),
        ("{}", "POSITIONAL", "AREA", True),
        ("tromp_taylor", "POSITIONAL", "AREA", True),
        ("Chinese_OGS", "POSITIONAL", "AREA", False),
        ("new zealand", "SITUATIONAL", "AREA", True),
        ("bga", "SITUATIONAL", "AREA", False),
        ("JAPANESE", "SIMPLE", "TERRITORY", False),
    ):
        assert asked(f"kata-set-rules {text}") == "=", text
        found = rules()
        assert (found["ko"], found["scoring"], found["suicide"]) == (ko, scoring, suicide), text
    before = rules()
    for text, said in (
        ('{"hasButton":true}', "the button"),
        ("koSIMPLEscoreAREAbutton1", "the button"),
        ('{"whiteHandicapBonus":"N"}', "whiteHandicapBonus N"),
        ("whbN-1", "whiteHandicapBonus"),
        ('{"tax":"ALL"}', "tax ALL with area"),
        ("scoreAREAtaxSEKI", "tax SEKI with area"),
        ("stone-scoring", "'stone-scoring' are not played"),
        ("aga-button", "are not played"),
        ('{"ko":"SPIGHT"}', "unknown ko rule 'spight'"),
        ('{"komi":7}', "komi is no rule"),
        ('{"suicide":"maybe"}', "suicide 'maybe' is neither true nor false"),
        ('{"moon":1}', "unknown rule 'moon'"),
        ("[1]", "unknown rules"),
        ("{", "unknown rules"),
        ('{"ko":[]}', "unknown ko rule"),
        ("koSIMPLEmoon", "unknown rules 'koSIMPLEmoon'"),
    ):
        assert asked(f"kata-set-rules {text}").startswith("? ") and said in asked(
            f"kata-set-rules {text}"
        ), text
        assert rules() == before
    assert asked("kata-set-rule suicide yes") == "=" and rules() == {**before, "suicide": True}
    assert asked("kata-set-rule ko POSITIONAL") == "=" and rules()["ko"] == "POSITIONAL"
    assert "the button" in asked("kata-set-rule hasButton true")
    assert "unknown rule 'colour'" in asked("kata-set-rule colour red")
    assert asked("kata-set-rule scoring AREA") == "=" and rules()["scoring"] == "AREA"


def test_rules_that_a_file_does_not_name_stay_and_what_is_assumed_is_told(tmp_path, capsys):
    finished = (
        "(;GM[1]FF[4]SZ[5]KM[0.5]{};B[ba];W[ea];B[bb];W[eb];B[bc];W[ec];B[bd];W[ed];B[be];W[];"
        "B[da];W[];B[db];W[];B[dc];W[];B[dd];W[];B[de];W[ae];B[];W[])"
    )
    path = tmp_path / "game.sgf"
    path.write_text(finished.format(""))
    load = f"loadsgf {path}"
    said = told(
        "kata-get-rules",
        load,
        "kata-get-rules",
        "final_score",
        "kata-set-rules japanese",
        load,
        "kata-get-rules",
        visits_a_move=200,
    )
    assert said[1] == "= black" and said[2] == said[0] and said[3] == "= B+24.5"
    assert json.loads(said[6][2:])["scoring"] == "TERRITORY"
    assert capsys.readouterr().err == ""
    path.write_text(finished.format("RU[Old Moon]PB[x]").replace("KM[0.5]", "KM[375]"))
    said = told("kata-get-rules", load, "kata-get-rules", "get_komi")
    assert said[2] == said[0] and said[3] == "= 7.5"
    err = capsys.readouterr().err
    assert f"{path}: RU[Old Moon] names no rules that are known here: chinese-ogs taken\n" in err
    assert f"{path}: KM[375] is taken for 7.5 points\n" in err


def test_positions_are_set_without_a_turn_for_white_and_no_point_twice():
    said = told(
        "boardsize 5",
        "set_position b A1 w B2 b A1",
        "set_position b A1 w A1",
        "gogui-setup b C3 b C3",
        "set_position b A1 b B2",
        "showboard",
        "gogui-setup b C3",
        "showboard",
        "gogui-setup w C3",
        "gogui-setup_player w",
        "showboard",
        "clear_board",
        "set_free_handicap A1 B2",
        "showboard",
        "printsgf -",
    )
    assert said[1] == said[2] == "? A1 is named twice" and said[3] == "? C3 is named twice"
    assert said[4] == "=" and "black to play" in said[5] and "black to play" in said[7]
    assert said[8] == "=" and "white to play" in said[10] and "white to play" in said[13]
    assert said[14].startswith("= (;GM[1]") and "HA[2]" in said[14]


def test_printsgf_writes_to_the_answer_also_by_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = told("play b D4", "printsgf", "printsgf -")
    assert said[1] == said[2] and said[1].startswith("= (;") and list(tmp_path.iterdir()) == []


def test_analysis_flags_are_words_for_true_and_false():
    serve.load_commands()
    session = Session(Engine(RandomPlayer(), Limits(visits=1), Position(5)), io.StringIO())
    session.lines.put("")  # analyses end at once
    for word, shown in (
        ("true", 1),
        ("True", 1),
        ("1", 1),
        ("yes", 1),
        ("on", 1),
        ("false", 0),
        ("0", 0),
        ("no", 0),
    ):
        session.out = io.StringIO()
        session.answer(f"kata-analyze ownership {word} rootInfo {word} maxmoves 1")
        said = session.out.getvalue()
        assert said.count(" ownership ") == said.count("rootInfo ") == shown, word
    session.out = io.StringIO()
    session.answer("7 kata-analyze ownership maybe")
    assert session.out.getvalue() == "?7 ownership 'maybe' is neither true nor false\n\n"


class Refuses(RandomPlayer):
    """Knows boards of 5 by 5 only, as a network may."""

    def search(self, position, count):
        if position.size != 5:
            raise UserError("boards of 5 by 5 only")

    def thoughts(self, position):
        self.search(position, 1)
        return super().thoughts(position)


@pytest.mark.parametrize("waiting", [False, True])
@pytest.mark.parametrize(
    "name", ["kata-analyze 10", "lz-analyze", "kata-genmove_analyze b", "lz-genmove_analyze"]
)
def test_what_cannot_be_searched_is_answered_once(name, waiting):
    serve.load_commands()
    session = Session(Engine(Refuses(), Limits(visits=1), Position(5)), io.StringIO())
    if waiting:
        session.lines.put("")
    session.answer("boardsize 7")
    session.answer(f"3 {name}")
    assert session.out.getvalue() == "=\n\n?3 boards of 5 by 5 only\n\n"


class Interrupted(RandomPlayer):
    """Ctrl-C is pressed while it thinks, where numba would swallow what is raised."""

    def search(self, position, count):
        with contextlib.suppress(BaseException):
            signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("line", ["kata-analyze 90000", "genmove b", "kata-genmove_analyze w", ""])
def test_ctrl_c_ends_an_analysis_a_move_and_waiting(line):
    serve.load_commands()
    session = Session(Engine(Interrupted(), Limits(seconds=3600.0), Position(5)), io.StringIO())
    over = threading.Event()

    def lines():
        yield line
        if not line:
            time.sleep(0.2)
            os.kill(os.getpid(), signal.SIGINT)  # heard by the main thread, which waits
        over.wait()  # a client that says nothing more

    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        interrupt.when_asked(session.stop)
        session.serve(lines())
    over.set()
    assert session.stopped and (session.out.getvalue().endswith("\n\n") or not line)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_is_kept_until_a_block_is_over_and_the_second_is_raised_at_once():
    done = []
    with pytest.raises(KeyboardInterrupt), Interrupt():
        signal.raise_signal(signal.SIGINT)
        done.append("went on")
    assert done == ["went on"]
    with pytest.raises(KeyboardInterrupt), Interrupt() as interrupt:
        signal.raise_signal(signal.SIGINT)
        interrupt.when_asked(lambda: done.append("asked late"))
        signal.raise_signal(signal.SIGINT)
        done.append("never")
    assert done == ["went on", "asked late"]
    # A client that reads nothing: what is raised while writing ends it.
    session = Session(Engine(RandomPlayer(), Limits(visits=1), Position(5)), io.StringIO())
    session.writing = True
    with pytest.raises(KeyboardInterrupt):
        session.stop()
