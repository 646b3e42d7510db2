"""Odd words: lines of GTP, and command lines made from the flags that the commands really have."""

import dataclasses
from collections.abc import Sequence
from importlib import import_module
from typing import Any

from hypothesis import strategies as st

import arcadia
from backbones.training.find_job import load_job
from rl.go.gtp import serve
from rl.go.gtp.protocol import COMMANDS
from tests.faults.mutations import MODULES, NUMBERS, PATHS, TEXTS, Draw

# A shell cannot pass a NUL; bytes that are no UTF-8 come as these surrogates.
TYPED = (*(text for text in TEXTS if "\x00" not in text and "\ud800" not in text), "\udcff")
VALUES = tuple(str(value) for value in (*NUMBERS, *TYPED, *PATHS, *MODULES, "True", "None", "1,2"))
WHOLE = tuple(str(value) for value in NUMBERS if isinstance(value, int))
REAL = tuple(str(value) for value in NUMBERS)

GTP_WORDS = (
    "b w black white D4 A1 E5 Z9 I5 T19 pass resign 0 1 5 -1 +7 007 1e3 nan inf -inf 1e999 0x10 "
    "2147483648 99999999999999999999 9 19 25 interval minmoves maxmoves ownership true avoid dead "
    "alive seki japanese chinese none byoyomi canadian fischer fischer-capped absolute # {} [ "
    'evilpayload [[[[ {"ko":1} null ../outside /dev/null /proc/self/mem . \x7f \x1b[31m é 漢 \ufeff'
).split(" ")

serve.load_commands()
GTP_LINES = """\
boardsize 5; boardsize 9; clear_board; komi 6.5; play b C3; play w D4; play b pass; genmove w;
reg_genmove b; kgs-genmove_cleanup b; undo; gg-undo 2; final_score; final_status_list dead;
fixed_handicap 2; place_free_handicap 4; set_free_handicap A1 B2; time_settings 10 5 3;
time_left b 10 0; kgs-time_settings byoyomi 10 5 3; kata-time_settings fischer-capped 10 2 20 5;
kata-set-rules japanese; kgs-rules aga; kata-set-rules
{"ko":"SIMPLE","scoring":"AREA","suicide":true}; kata-get-rules; set_position b A1 w B2 b C3;
gogui-setup w E5; gogui-setup_player w; move_history; gogui-play_sequence b A2 w B3 b pass;
kata-analyze b 5 ownership true maxmoves 2; lz-analyze w interval 10; kata-genmove_analyze b 5
rootInfo true; lz-genmove_analyze w 5; heatmap; arcadia-ownership; showboard; last_move;
gomill-explain_last_move; printsgf""".replace("\n", " ").split("; ")


@st.composite
def gtp_lines(draw: Draw) -> list[str]:
    """Draw a few lines: real commands, or none, with odd arguments."""
    names = st.one_of(st.sampled_from(sorted(COMMANDS)), st.text(max_size=9))
    word = st.one_of(
        st.sampled_from(GTP_WORDS),
        st.sampled_from(GTP_WORDS),
        st.text(max_size=5),
        st.sampled_from(("x" * 70_000, "[" * 60_000, "9" * 5_000)),
    )
    lines = []
    for _ in range(draw(st.integers(1, 8))):
        number = draw(st.sampled_from(("", "", "1 ", "007 ", "9" * 30 + " ")))
        words = draw(st.sampled_from(GTP_LINES)).split()
        change = draw(st.sampled_from(("none", "one", "more", "all")))
        if change == "one":
            words[draw(st.integers(0, len(words) - 1))] = draw(word)
        elif change == "more":
            words[draw(st.integers(1, len(words))) :] = draw(st.lists(word, max_size=4))
        elif change == "all":
            words = [draw(names), *draw(st.lists(word, max_size=6))]
        lines.append(number + " ".join(words))
    return lines


def flags_of(config: type) -> list[tuple[str, tuple[str, ...]]]:
    """Return the flags of a config with odd values of their type; () is one that takes none."""
    flags: list[tuple[str, tuple[str, ...]]] = []
    for field in dataclasses.fields(config):
        kind = field.type
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            flags += flags_of(kind)
        else:
            values = () if kind is bool else WHOLE if kind is int else VALUES
            values = REAL if kind is float else values
            flags.append(("--" + field.name.replace("_", "-"), values))
    return flags


# Words that begin a command line, and the flags that it may have with their odd values.
Known = tuple[Sequence[str], list[tuple[str, tuple[str, ...]]]]


def commands(run: str) -> list[Known]:
    """Return (words that begin a command line, the flags it has) of every command that ends.

    `run` is an agent's. `bench` measures for minutes, `data` fetches and `board` serves: they take
    part with what they refuse only, in tests of their own.
    """
    small = {
        "train ppo": ("--env", "Arcadia/Catch-v0", "--total-steps", "256", "--eval-games", "0"),
        "train classify": ("--samples", "64"),
    }
    found: list[Known] = []
    for job, entry in arcadia.JOBS.items():
        words = ("train", job, "--preset", "smoke")
        rest = small.get(f"train {job}", small["train ppo"] if entry.kind == "agent" else ())
        found.append(((*words, *rest), flags_of(load_job(job).config_type)))
    verbs: dict[str, tuple[Sequence[str], str]] = {
        "resume": ((run,), "ResumeConfig"),
        "eval": ((run, "--games", "1"), "Config"),
        "predict": (("zoo/mnist", "x.png"), "Config"),
        "watch": ((run,), "Config"),
        "play": (("Arcadia/Catch-v0",), "Config"),
        "export": ((run,), "Config"),
        "gtp": (("random",), "Config"),
        "arena": (("random", "--games", "2", "--size", "5", "--visits", "2"), "Config"),
    }
    for verb, (words, name) in verbs.items():
        modules = arcadia.VERBS[verb].modules or {"": "backbones.training.config"}
        module = next(iter(modules.values()))
        found.append(((verb, *words), flags_of(getattr(import_module(module), name))))
    for verb in ("runs", "jobs"):
        found.append(((verb,), [("--json", ())]))
    return found


@st.composite
def command_lines(draw: Draw, known: Sequence[Known]) -> list[str]:
    """Draw a command line with flags of odd values, and words where none or others belong."""
    begin, flags = draw(st.sampled_from(known))
    words: list[Any] = list(begin)
    anything = st.one_of(st.sampled_from(VALUES), st.text("ab-=/. 0", max_size=4))
    for _ in range(draw(st.integers(1, 3))):
        change = draw(st.sampled_from(("flag", "flag", "flag", "flag", "any", "word", "other")))
        flag, values = draw(st.sampled_from(flags))
        if change == "flag":
            words += [flag, draw(st.sampled_from(values))] if values else [flag]
        elif change == "any":
            words += [flag, draw(anything)]
        elif change == "other":
            words[draw(st.integers(0, len(words) - 1))] = draw(anything)
        else:
            words.insert(draw(st.integers(1, len(words))), draw(anything))
    return words
