"""GTP: what clients say, what they must hear, and what no line may do."""

import io
import json
import re
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rl.go import serve
from rl.go.engine import Engine, Limits
from rl.go.gtp import COMMANDS, Session
from rl.go.gtp_client import EngineFailed, GtpEngine
from rl.go.player import RandomPlayer
from rl.go.position import Position

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
        "12 name\r\n", "# a comment", "", "   ", "protocol_version # which?", "\x07name\x01",
        "7 nonsense", "7", "known_command\tplay", "known_command fly", "play b", "play red D4",
        "play b Z9", "play b I5", "komi lots", "boardsize nine", "boardsize 26", "boardsize 1",
        "99 play b D4", "play w D4", "undo", "undo", "genmove green",
    )  # fmt: skip
    assert said.split("\n\n")[:-1] == [
        "=12 Arcadia", "= 2", "= Arcadia", "?7 unknown command", "?7 unknown command", "= true",
        "= false", "? syntax error: 2 arguments expected", "? syntax error: 'red' is no colour",
        "? invalid coordinate: 'Z9' is not a point such as B8, or pass",
        "? invalid coordinate: 'I5' is not a point such as B8, or pass",
        "? syntax error: 'lots' is no number", "? syntax error: 'nine' is no integer",
        "? unacceptable size: 2 to 19 are played", "? unacceptable size: 2 to 19 are played",
        "=99", "? illegal move: white D4: a stone stands there", "=", "? cannot undo",
        "? syntax error: 'green' is no colour",
    ]  # fmt: skip


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
        "boardsize 5", "komi 0.5", "play b C3", "genmove w", "play b pass", "genmove w",
        "genmove b", "last_move", "showboard", f"printsgf {path}", f"printsgf {path}", "printsgf",
        "final_score", f"loadsgf {path} 2", "move_history", "loadsgf /none.sgf",
        "gomill-explain_last_move",
    ).split("\n\n")  # fmt: skip
    assert re.fullmatch(r"= [A-E][1-5]", said[3])
    assert said[9] == "=" and "File exists" in said[10]
    assert said[11].startswith("= (;GM[1]FF[4]") and said[11].count("\n\n") == 0
    assert re.fullmatch(r"= [BW]\+[\d.]+", said[12])
    assert said[13] == "= white" and said[14] == "= black C3"
    assert said[15].startswith("? cannot load file: /none.sgf")


def test_dead_stones_are_named_and_counted_off():
    # Black owns all but a lone white stone in a corner of 5 x 5.
    stones = "b B1 b B2 b B3 b B4 b B5 b D1 b D2 b D3 b D4 b D5 w E1"
    said = talk("boardsize 5", "komi 0", f"set_position {stones}", "final_status_list dead",
                "final_score", "final_status_list alive", "final_status_list seki",
                "final_status_list odd").split("\n\n")  # fmt: skip
    assert said[3] == "= E1" and said[4] == "= B+25"
    assert len(said[5].split("\n")) == 2 and said[6] == "="
    assert said[7].startswith("? syntax error")


def test_handicaps():
    said = talk("fixed_handicap 2", "fixed_handicap 2", "clear_board", "place_free_handicap 12",
                "clear_board", "set_free_handicap D4 D4", "set_free_handicap D4 pass",
                "set_free_handicap D4 E5", "genmove w", "clear_board", "fixed_handicap 40",
                "boardsize 2", "place_free_handicap 3").split("\n\n")  # fmt: skip
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
    said = talk("kata-get-rules", "kata-set-rules japanese", "kata-get-rules",
                'kata-set-rules {"ko":"SITUATIONAL","scoring":"AREA","suicide":true}',
                "kata-get-rules", "kgs-rules moon", "kata-set-rules {", "kgs-time_settings none",
                "kgs-time_settings byoyomi 60 10 3", "time_left b 5 2",
                "kata-time_settings fischer-capped 60 5 120 30", "kata-time_settings sundial",
                "time_settings 0 0 0", "time_settings -1 0 0").split("\n\n")  # fmt: skip
    first = json.loads(said[0][2:])
    assert first["ko"] == "POSITIONAL" and first["friendlyPassOk"]
    assert json.loads(said[2][2:])["scoring"] == "TERRITORY"
    assert json.loads(said[4][2:])["suicide"] and not json.loads(said[4][2:])["friendlyPassOk"]
    assert said[5].startswith("? unknown rules") and said[6].startswith("? unknown rules")
    assert said[7:11] == ["="] * 4 and said[11].startswith("? unknown time system")
    assert said[12] == "=" and "not between" in said[13]


def test_gogui_sets_up_and_plays_sequences_whole_or_not_at_all():
    said = talk("gogui-play_sequence b D4 w E5 b D4", "move_history",
                "gogui-play_sequence b D4 w E5", "move_history", "gg-undo 3", "gg-undo 2",
                "gogui-setup b D4 w E5", "gogui-setup_player w", "showboard", "heatmap",
                "arcadia-ownership", "gogui-analyze_commands", "cputime").split("\n\n")  # fmt: skip
    assert said[0].startswith("? illegal move") and said[1] == "="
    assert said[3] == "= white E5\nblack D4" and said[4] == "? cannot undo" and said[5] == "="
    assert "white to play" in said[8] and len(said[9].strip().split("\n")) == 11
    assert said[10].startswith("= INFLUENCE A9 ") and float(said[12][2:]) > 0


WORDS = st.sampled_from([
    *"b w black red D4 Q16 pass resign 0 1 5 9 19 26 -3 1e9 nan inf true maxmoves interval".split(),
    *"ownership none byoyomi canadian japanese {} [ A1 T19 dead alive é \x00 #".split(),
])  # fmt: skip


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
    "Sabaki": ["1 name", "2 version", "3 protocol_version", "4 list_commands", "5 clear_board",
               "6 boardsize 9", "7 clear_board", "8 komi 7", "9 play B E5",
               "10 lz-genmove_analyze W 50", "11 lz-analyze B 50", "12 protocol_version",
               "13 undo", "14 genmove W"],
    "Lizzie": ["0 name", "1 version", "2 list_commands", "3 komi 7.5", "4 boardsize 9",
               "5 clear_board", "6 kata-get-rules", "7 play B C3", "8 lz-analyze 10",
               "9 time_left B 0 0", "10 play W G7", "11 kata-analyze B 10 ownership true",
               "12 stop", "13 undo"],
    "GoGui": ["protocol_version", "list_commands", "name", "version", "gogui-analyze_commands",
              "boardsize 9", "clear_board", "komi 6.5", "time_settings 600 30 5",
              "gogui-play_sequence B E5 W C3", "genmove b", "gogui-interrupt", "undo",
              "final_score", "cputime"],
    "gtp2ogs": ["list_commands\r", "name\r", "version\r", "boardsize 9\r", "clear_board\r",
                "komi 6.5\r", "kgs-rules japanese\r", "kgs-time_settings byoyomi 600 30 5\r",
                "fixed_handicap 3\r", "time_left black 600 0\r", "time_left white 30 5\r",
                "genmove w\r", "final_status_list dead\r", "kgs-game_over\r"],
}  # fmt: skip


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
    said = talk("boardsize 5", "komi 0", f"set_position {stones}", "genmove b",
                "final_status_list dead", "kata-set-rules " + "[" * 3000).split("\n\n")  # fmt: skip
    assert said[4] == "= E1" or said[3] in ("= E2", "= E3")  # it may have taken the stone
    assert said[5].startswith("? unknown rules")


@pytest.mark.parametrize("rules, passes", [("chinese", False), ("japanese", False), ("cgos", True)])
def test_a_pass_is_answered_by_one_only_where_it_wins_by_the_count_that_follows(rules, passes):
    # Two black stones hold all of 5 x 5; with every stone alive White has half a point more.
    said = talk("boardsize 5", f"kata-set-rules {rules}", "komi 0.5", "play b C3", "play w B4",
                "play b pass", "genmove w", "play b pass", "play w pass", "final_score",
                visits_a_move=1_500).split("\n\n")  # fmt: skip
    assert (said[6] == "= pass") == passes
    assert not passes or said[9] == "= W+0.5"
