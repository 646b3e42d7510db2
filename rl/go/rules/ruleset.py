"""The rules of a game: by name, or in the forms that KataGo reads and writes.

KataGo (docs/GTP_Extensions.md) writes rules as a name (`chinese-ogs`), as JSON
(`{"ko": "SIMPLE", "scoring": "AREA", "suicide": false}`) or in short (`koSIMPLEscoreAREAsui0`, also
in RU of its SGF files). What JSON and the short form leave out is as in `tromp-taylor`.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args

from backbones.training.errors import UserError

Ko = Literal["simple", "positional", "situational"]
Scoring = Literal["area", "territory"]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Rules of ko, suicide and scoring."""

    ko: Ko = "positional"
    suicide: bool = False
    scoring: Scoring = "area"
    friendly: bool = False
    """Dead stones are taken off after two passes; otherwise every stone on the board counts."""


NAMED_RULES = {
    "tromp-taylor": Rules(suicide=True),
    "chinese": Rules(ko="simple", friendly=True),
    "chinese-ogs": Rules(friendly=True),
    "cgos": Rules(),
    "aga": Rules(ko="situational", friendly=True),
    "new-zealand": Rules(ko="situational", suicide=True, friendly=True),
    "japanese": Rules(ko="simple", scoring="territory", friendly=True),
    "korean": Rules(ko="simple", scoring="territory", friendly=True),
}
# Other names of the same rules, in lower case, letters only.
ALIASES = {
    "nz": "new-zealand",
    "tt": "tromp-taylor",
    "goe": "tromp-taylor",
    "ing": "tromp-taylor",
    "bga": "aga",
    "french": "aga",
    "chinesekgs": "chinese-ogs",
    "jp": "japanese",
    "cn": "chinese",
    "chn": "chinese",
    "jpn": "japanese",
    "kor": "korean",
    "日本": "japanese",
    "中国": "chinese",
    "中國": "chinese",
    "韩国": "korean",
}
# Rules that KataGo plays and this engine does not.
NOT_PLAYED = ("agabutton", "ancientarea", "ancientterritory", "stonescoring")
TRUE, FALSE = {"true", "t", "yes", "y", "on", "1"}, {"false", "f", "no", "n", "off", "0"}
SHORT = re.compile(
    r"(ko|scoring|score|tax|sui|button|whb|fpok)"
    r"(simple|positional|situational|spight|area|territory|none|seki|all|n-1|[01n])[,;\s]*",
    re.IGNORECASE,
)
# Of KataGo's keys, the words that mean the same.
KEYS = {
    "score": "scoring",
    "sui": "suicide",
    "button": "hasbutton",
    "whb": "whitehandicapbonus",
    "fpok": "friendlypassok",
}


def read_bool(value: object, name: str) -> bool:
    """Return the bool that JSON or a word means (true, yes, 1...); UserError for anything else."""
    word = str(value).strip().lower()
    if word not in TRUE | FALSE:
        raise UserError(f"{name} {word[:20]!r} is neither true nor false")
    return word in TRUE


def read_rules(text: str, notes: list[str] | None = None) -> Rules:
    """Return rules from a name or one of KataGo's forms.

    UserError names what is unknown. Rules that are known but not supported are errors too, unless
    `notes` is given: then they are noted there and left out.
    """
    name = re.sub(r"[\W\d_]", "", text.lower())
    name = re.sub("(rules?|规则|規則)$", "", name)
    names = {key.replace("-", ""): key for key in NAMED_RULES} | ALIASES
    if name in NOT_PLAYED:
        raise UserError(f"rules {text.strip()[:20]!r} are not played here")
    if text.lstrip().startswith("{"):
        return with_settings(json_settings(text), notes)
    if name in names:
        return NAMED_RULES[names[name]]
    return with_settings(short_settings(text), notes)


def json_settings(text: str) -> dict[str, Any]:
    """Return the keys and values of a JSON object; UserError if it is none."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        example = '{"ko": "SIMPLE", "scoring": "AREA", "suicide": false}'
        raise UserError(f"unknown rules: not an object of JSON such as {example}") from None
    if not isinstance(found, dict):
        raise UserError("unknown rules: JSON that is no object, {...}")
    return {str(key): value for key, value in found.items()}


def short_settings(text: str) -> dict[str, Any]:
    """Return the keys and values of a text such as koSIMPLEsui0; UserError if it is none."""
    text = text.strip()
    if not text or not re.fullmatch(f"(?:{SHORT.pattern})+", text, re.IGNORECASE):
        raise UserError(
            f"unknown rules {text[:20]!r}; choose one of {', '.join(NAMED_RULES)}, or give JSON "
            "with ko, scoring and suicide"
        )
    return dict(SHORT.findall(text))


def with_settings(settings: dict[str, Any], notes: list[str] | None) -> Rules:
    """Return rules by KataGo's keys; what is not played is refused or noted as in `read_rules`."""
    ko, scoring, suicide, friendly = "positional", "area", True, None
    for given, value in settings.items():
        key, word = KEYS.get(given.lower(), given.lower()), str(value).strip().lower()
        if key == "ko":
            ko = one_of(word, get_args(Ko), "ko rule")
        elif key == "scoring":
            scoring = one_of(word, get_args(Scoring), "scoring")
        elif key == "suicide":
            suicide = read_bool(value, "suicide")
        elif key == "friendlypassok":
            friendly = read_bool(value, "friendlyPassOk")
    complaints = list(not_played(settings, scoring))
    if notes is None and complaints:
        raise UserError(complaints[0])
    if notes is not None:
        notes += complaints
    # Who counts territory agrees on what is dead: with dead stones on the board it means nothing.
    agreed = scoring == "territory" if friendly is None else friendly
    return Rules(ko=ko, scoring=scoring, suicide=suicide, friendly=agreed)  # type: ignore[arg-type]


def one_of(word: str, choices: tuple[str, ...], what: str) -> str:
    """Return a word; UserError if it is none of the choices."""
    if word not in choices:
        raise UserError(f"unknown {what} {word[:20]!r}; choose one of {', '.join(choices)}")
    return word


def not_played(settings: dict[str, Any], scoring: str) -> Iterator[str]:
    """Give a line for every key and value that this engine does not play."""
    for given, value in settings.items():
        key, word = KEYS.get(given.lower(), given.lower()), str(value).strip().lower()
        if key == "hasbutton" and read_bool(value, "hasButton"):
            yield "the button (hasButton) is not played here"
        elif key == "whitehandicapbonus" and word != "0":
            yield f"whiteHandicapBonus {word[:5].upper()} is not counted here: add it to the komi"
        elif key == "tax" and word != "none" and (word, scoring) != ("seki", "territory"):
            yield f"tax {word[:10].upper()} with {scoring} scoring is not counted here"
        elif key == "komi":
            yield "komi is no rule here: the command komi sets it"
        elif key not in (
            "ko",
            "scoring",
            "suicide",
            "friendlypassok",
            "hasbutton",
            "tax",
            "whitehandicapbonus",
        ):
            yield f"unknown rule {given[:20]!r}"


def short_form(rules: Rules) -> str:
    """Return rules in KataGo's short form."""
    friendly = "fpok1" if rules.friendly else "fpok0"
    return f"ko{rules.ko.upper()}score{rules.scoring.upper()}sui{int(rules.suicide)}{friendly}"
