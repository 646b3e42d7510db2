"""A line as people write it, made into what a translator's training text looked like, and back.

Translation sets are often lower-cased and tokenised by Moses' script: marks stand apart, and quotes
are written as `&apos;` and `&quot;`. A run knows from its vocabulary which letters it had.
`readable` is for every text and changes nothing that training had; `as_trained` is for what people
ask.

The rules are those of Moses' tokenizer.perl in short (https://github.com/moses-smt/mosesdecoder),
for English, French, Italian and languages without apostrophes within words.
"""

import re
import unicodedata

# `&` first: it stands in the others.
ENTITIES = {
    "&": "&amp;",
    "|": "&#124;",
    "<": "&lt;",
    ">": "&gt;",
    "'": "&apos;",
    '"': "&quot;",
    "[": "&#91;",
    "]": "&#93;",
}
# Printers' quotes and dashes, as a typewriter has them.
PLAIN_MARKS = str.maketrans(
    "\u2018\u2019\u201a\u2039\u203a\u00b4`\u201c\u201d\u201e\u00ab\u00bb\u2013\u2014\u2212",
    "'" * 7 + '"' * 5 + "-" * 3,
)
# A full stop belongs to these.
SHORT = frozenset(
    "mr mrs ms dr prof st jr sr gen col sgt rev vs no etc bzw ca usw nr hr fr str z.b d.h".split()
)
CLITIC = r"(?:s|t|re|ll|ve|m|d)(?!\w)"


def readable(line: str, letters: frozenset[str]) -> str:
    """Return a line with what training never had as what it had: other white space as a blank,
    letters in their canonical or compatible forms, invisible characters left out.
    """
    if letters.issuperset(line):
        return line
    forms = [line, unicodedata.normalize("NFC", line), unicodedata.normalize("NFD", line)]
    line = min(forms, key=lambda form: sum(letter not in letters for letter in form))
    return "".join(letter if letter in letters else instead(letter, letters) for letter in line)


def instead(letter: str, letters: frozenset[str]) -> str:
    """Return what an unknown character is read as: itself where there is nothing better."""
    if letter.isspace() or letter == "\u200b":
        return " "
    if unicodedata.category(letter) == "Cf":
        return ""
    for other in (letter.translate(PLAIN_MARKS), unicodedata.normalize("NFKC", letter)):
        if letters.issuperset(other):
            return other
    return letter


def as_trained(line: str, letters: frozenset[str], tokenised: bool, language: str) -> str:
    """Return a line that people wrote, lower-cased, cut and escaped where training text was."""
    line = unicodedata.normalize("NFC", line) if tokenised else line
    already = any(entity in line for entity in ENTITIES.values())
    if tokenised and not already:
        line = escaped(cut(folded(line, letters), language), letters)
    if any(letter.isalpha() for letter in letters) and not any(map(str.isupper, letters)):
        line = line.lower()
    return line


def folded(line: str, letters: frozenset[str]) -> str:
    """Return a line with printers' quotes and dashes as a typewriter has them, unless known."""
    return "".join(each if each in letters else each.translate(PLAIN_MARKS) for each in line)


def cut(line: str, language: str) -> str:
    """Return a line with marks apart from words."""
    line = re.sub(r"([^\w\s.',\-])", r" \1 ", line)
    line = re.sub(r"(\.{2,})", r" \1 ", line)
    line = re.sub(r",(?!\d)|(?<!\d),", " , ", line)
    if language == "en":
        line = re.sub(rf"(?<=\w)'(?=[^\W\d_])|(?<=\s)'(?={CLITIC})", " '\0", line)
    elif language in ("fr", "it"):
        line = re.sub(r"(?<=[^\W\d_])'(?=[^\W\d_])", "'\0 ", line)
    line = re.sub(r"'(?!\0)", " ' ", line).replace("\0", "")
    return " ".join(part for word in line.split() for part in stopped(word))


def stopped(word: str) -> list[str]:
    """Return a word and the full stop behind it, unless it belongs there."""
    stem = word[:-1]
    if not word.endswith(".") or not stem.strip(".") or stem.lower() in SHORT:
        return [word]
    return [word] if "." in stem and any(map(str.isalpha, stem)) else [stem, "."]


def escapes(letters: frozenset[str]) -> bool:
    """Say whether training text had its quotes as `&quot;` and `&apos;`."""
    return letters.issuperset("&;") and not ({"'", '"'} & letters)


def escaped(line: str, letters: frozenset[str]) -> str:
    """Return a line with its quotes and other marks as Moses writes them, if training had that."""
    if escapes(letters):
        for mark, entity in ENTITIES.items():
            line = line.replace(mark, entity)
    return line


def unescaped(line: str) -> str:
    """Return a line with marks in place of Moses' words for them."""
    for mark, entity in reversed(ENTITIES.items()):
        line = line.replace(entity, mark)
    return line
