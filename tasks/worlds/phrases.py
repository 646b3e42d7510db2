"""The offline world of translation: phrases in English, German and French, made by a grammar.

Five kinds, equally often; every phrase has exactly one translation, so answers can be compared
letter by letter:

    number    0 to 9,999 in words, a tenth of them under 100          10,000
    date      a day from 1900 to 2099 with its weekday                73,049
    time      a minute of the day                                      1,440
    price     0.05 to 999.95 in steps of 5 cents, three currencies    59,997
    sentence  SUBJECT VERB OBJECT ADVERB: 28 x 8 x 140 x 7           219,520

A subject is one of 14 nouns with `the` or `a`; an object one of 14 nouns with `the` or `a` and
one of 4 adjectives or none (140 in all). German declines articles and adjectives by gender and
case; French puts some adjectives first, makes them agree, and elides articles.

Which split a phrase belongs to depends on its English text (a tenth validates, a tenth tests), so
that none is learnt and asked for as well.
"""

import zlib
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np

from backbones.training.errors import UserError
from tasks.data.formats.text import Pairs
from tasks.data.languages import code_of
from tasks.data.split_names import Split
from tasks.worlds.chance import PHRASES, SEEDS, sample_rng

LANGUAGES = ("en", "de", "fr")
SIZES = {"train": 40_000, "val": 1_000, "test": 2_000}
# What the English text's checksum leaves over ten, for each split.
PLACES = {"val": (0,), "test": (1,), "train": tuple(range(2, 10))}
SMALL = 0.1  # of the numbers are under 100, each of which belongs to one split alone
Phrase = tuple[str, str, str]  # in the order of LANGUAGES


@dataclass(frozen=True)
class Noun:
    """A thing in three languages, with the gender that German and French give it."""

    en: str
    de: str
    gender_de: str
    fr: str
    gender_fr: str


SUBJECTS = (
    Noun("man", "Mann", "m", "homme", "m"),
    Noun("woman", "Frau", "f", "femme", "f"),
    Noun("girl", "Mädchen", "n", "fille", "f"),
    Noun("child", "Kind", "n", "enfant", "m"),
    Noun("teacher", "Lehrer", "m", "professeur", "m"),
    Noun("doctor", "Ärztin", "f", "médecin", "m"),
    Noun("dog", "Hund", "m", "chien", "m"),
    Noun("cat", "Katze", "f", "chat", "m"),
    Noun("horse", "Pferd", "n", "cheval", "m"),
    Noun("bird", "Vogel", "m", "oiseau", "m"),
    Noun("queen", "Königin", "f", "reine", "f"),
    Noun("king", "König", "m", "roi", "m"),
    Noun("painter", "Malerin", "f", "peintre", "m"),
    Noun("baker", "Bäcker", "m", "boulanger", "m"),
)
OBJECTS = (
    Noun("house", "Haus", "n", "maison", "f"),
    Noun("book", "Buch", "n", "livre", "m"),
    Noun("tree", "Baum", "m", "arbre", "m"),
    Noun("car", "Auto", "n", "voiture", "f"),
    Noun("apple", "Apfel", "m", "pomme", "f"),
    Noun("table", "Tisch", "m", "table", "f"),
    Noun("door", "Tür", "f", "porte", "f"),
    Noun("letter", "Brief", "m", "lettre", "f"),
    Noun("flower", "Blume", "f", "fleur", "f"),
    Noun("lamp", "Lampe", "f", "lampe", "f"),
    Noun("ship", "Schiff", "n", "bateau", "m"),
    Noun("key", "Schlüssel", "m", "clé", "f"),
    Noun("picture", "Bild", "n", "tableau", "m"),
    Noun("clock", "Uhr", "f", "horloge", "f"),
)
# English, German stem, French masculine and feminine, whether French puts it first.
ADJECTIVES = (
    ("red", "rot", "rouge", "rouge", False),
    ("small", "klein", "petit", "petite", True),
    ("big", "groß", "grand", "grande", True),
    ("black", "schwarz", "noir", "noire", False),
)
VERBS = (
    ("sees", "sieht", "voit"),
    ("buys", "kauft", "achète"),
    ("finds", "findet", "trouve"),
    ("paints", "malt", "peint"),
    ("loses", "verliert", "perd"),
    ("looks for", "sucht", "cherche"),
    ("forgets", "vergisst", "oublie"),
    ("sells", "verkauft", "vend"),
)
ADVERBS = (
    ("today", "heute", "aujourd'hui"),
    ("every day", "jeden Tag", "chaque jour"),
    ("in the garden", "im Garten", "dans le jardin"),
    ("in the city", "in der Stadt", "en ville"),
    ("in the evening", "am Abend", "le soir"),
    ("again", "wieder", "de nouveau"),
    ("in winter", "im Winter", "en hiver"),
)
# German endings of adjectives, by article, case and gender.
ENDINGS = {
    ("the", "nominative"): dict(m="e", f="e", n="e"),
    ("the", "accusative"): dict(m="en", f="e", n="e"),
    ("a", "nominative"): dict(m="er", f="e", n="es"),
    ("a", "accusative"): dict(m="en", f="e", n="es"),
}
ARTICLES = {
    ("the", "nominative"): dict(m="der", f="die", n="das"),
    ("the", "accusative"): dict(m="den", f="die", n="das"),
    ("a", "nominative"): dict(m="ein", f="eine", n="ein"),
    ("a", "accusative"): dict(m="einen", f="eine", n="ein"),
}

ONES_EN = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen "
    "sixteen seventeen eighteen nineteen"
).split()
TENS_EN = "- - twenty thirty forty fifty sixty seventy eighty ninety".split()
ONES_DE = (
    "null eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf dreizehn vierzehn "
    "fünfzehn sechzehn siebzehn achtzehn neunzehn"
).split()
TENS_DE = "- - zwanzig dreißig vierzig fünfzig sechzig siebzig achtzig neunzig".split()
ONES_FR = (
    "zéro un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize "
    "dix-sept dix-huit dix-neuf"
).split()
TENS_FR = "- - vingt trente quarante cinquante soixante soixante quatre-vingt quatre-vingt".split()
DAYS = (
    "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split(),
    "Montag Dienstag Mittwoch Donnerstag Freitag Samstag Sonntag".split(),
    "lundi mardi mercredi jeudi vendredi samedi dimanche".split(),
)
MONTHS = (
    "January February March April May June July August September October November December".split(),
    "Januar Februar März April Mai Juni Juli August September Oktober November Dezember".split(),
    "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split(),
)
CURRENCIES = ("€", "$", "£")
FIRST_DAY, DAYS_IN_ALL = date(1900, 1, 1), 73_049


def number_en(n: int) -> str:
    """Return 0 to 9,999 in English."""
    if n < 20:
        return ONES_EN[n]
    if n < 100:
        return TENS_EN[n // 10] + (f"-{ONES_EN[n % 10]}" if n % 10 else "")
    base, name = (1000, "thousand") if n >= 1000 else (100, "hundred")
    many, rest = divmod(n, base)
    joined = f" and {number_en(rest)}" if rest < 100 else f" {number_en(rest)}"
    return f"{ONES_EN[many]} {name}" + (joined if rest else "")


def number_de(n: int) -> str:
    """Return 0 to 9,999 in German."""
    if n < 20:
        return ONES_DE[n]
    if n < 100:
        one = "ein" if n % 10 == 1 else ONES_DE[n % 10]
        return (f"{one}und" if n % 10 else "") + TENS_DE[n // 10]
    base, name = (1000, "tausend") if n >= 1000 else (100, "hundert")
    many, rest = divmod(n, base)
    return ("ein" if many == 1 else ONES_DE[many]) + name + (number_de(rest) if rest else "")


def number_fr(n: int) -> str:
    """Return 0 to 9,999 in French, as it is said in France."""
    if n < 20:
        return ONES_FR[n]
    if n < 100:
        tens, rest = n // 10, n % 10
        if tens in (7, 9):
            rest += 10
        if n == 80:
            return "quatre-vingts"
        if rest == 0:
            return TENS_FR[tens]
        return TENS_FR[tens] + (" et " if rest in (1, 11) and tens < 8 else "-") + ONES_FR[rest]
    base, name = (1000, "mille") if n >= 1000 else (100, "cent")
    many, rest = divmod(n, base)
    plural = "s" if name == "cent" and many > 1 and not rest else ""
    text = (f"{ONES_FR[many]} " if many > 1 else "") + name + plural
    return f"{text} {number_fr(rest)}" if rest else text


def number(rng: np.random.Generator) -> Phrase:
    """A number in words."""
    n = int(rng.integers(100 if rng.random() < SMALL else 10_000))
    return number_en(n), number_de(n), number_fr(n)


def day(rng: np.random.Generator) -> Phrase:
    """A date with its weekday."""
    chosen = FIRST_DAY + timedelta(days=int(rng.integers(DAYS_IN_ALL)))
    week, month, year = chosen.weekday(), chosen.month - 1, chosen.year
    first = "1er" if chosen.day == 1 else str(chosen.day)
    return (
        f"{DAYS[0][week]}, {MONTHS[0][month]} {chosen.day}, {year}",
        f"{DAYS[1][week]}, der {chosen.day}. {MONTHS[1][month]} {year}",
        f"{DAYS[2][week]} {first} {MONTHS[2][month]} {year}",
    )


def clock(rng: np.random.Generator) -> Phrase:
    """A time of day, of twelve hours in English and of 24 in the others."""
    hour, minute = divmod(int(rng.integers(1440)), 60)
    half = "am" if hour < 12 else "pm"
    return (
        f"{(hour - 1) % 12 + 1}:{minute:02d} {half}",
        f"{hour}:{minute:02d} Uhr",
        f"{hour} h {minute:02d}",
    )


def price(rng: np.random.Generator) -> Phrase:
    """A price."""
    currency = CURRENCIES[rng.integers(len(CURRENCIES))]
    whole, cents = divmod(5 * int(rng.integers(1, 20_000)), 100)
    text = f"{whole},{cents:02d} {currency}"
    return f"{currency}{whole}.{cents:02d}", text, text


def noun_phrase(noun: Noun, article: str, adjective: tuple | None, case: str) -> Phrase:
    """An article, an adjective or none, a noun, in a German case."""
    # What is spoken next changes the article, in English and in French.
    next_en = adjective[0] if adjective else noun.en
    article_en = "an" if article == "a" and next_en[0] in "aeiou" else article
    ending = ENDINGS[article, case][noun.gender_de]
    words_de = [ARTICLES[article, case][noun.gender_de]]
    words_de += [*([adjective[1] + ending] if adjective else []), noun.de]
    words_fr = [noun.fr]
    if adjective:
        agreed = adjective[2] if noun.gender_fr == "m" else adjective[3]
        words_fr.insert(0 if adjective[4] else 1, agreed)
    if article == "a":
        article_fr = "un " if noun.gender_fr == "m" else "une "
    elif words_fr[0][0] in "aeiouhé":
        article_fr = "l'"
    else:
        article_fr = "le " if noun.gender_fr == "m" else "la "
    words_en = [article_en, *([adjective[0]] if adjective else []), noun.en]
    return " ".join(words_en), " ".join(words_de), article_fr + " ".join(words_fr)


def sentence(rng: np.random.Generator) -> Phrase:
    """Somebody does something to something, somewhere or at some time."""
    verb, adverb = VERBS[rng.integers(len(VERBS))], ADVERBS[rng.integers(len(ADVERBS))]
    which = int(rng.integers(len(ADJECTIVES) + 1))
    adjective = ADJECTIVES[which] if which < len(ADJECTIVES) else None
    articles = ["the" if chance < 0.5 else "a" for chance in rng.random(2)]
    subject = noun_phrase(SUBJECTS[rng.integers(len(SUBJECTS))], articles[0], None, "nominative")
    object_ = noun_phrase(OBJECTS[rng.integers(len(OBJECTS))], articles[1], adjective, "accusative")
    texts = [f"{subject[n]} {verb[n]} {object_[n]} {adverb[n]}." for n in range(len(LANGUAGES))]
    # German says when and where before what, if that is new: "sieht heute ein Haus".
    if articles[1] == "a":
        texts[1] = f"{subject[1]} {verb[1]} {adverb[1]} {object_[1]}."
    en, de, fr = (text[0].upper() + text[1:] for text in texts)
    return en, de, fr


KINDS = (number, day, clock, price, sentence)


def phrase(seed: int, index: int, split: Split) -> Phrase:
    """Return a phrase of a split in every language: a function of (seed, index)."""
    rng = sample_rng(seed, PHRASES, index)
    make = KINDS[rng.integers(len(KINDS))]
    while True:
        texts = make(rng)
        if zlib.crc32(texts[0].encode()) % 10 in PLACES[split]:
            return texts


def pairs(split: Split, source: str, target: str, count: int = 0) -> Pairs:
    """Return phrases in two languages; UserError for one that is not spoken here."""
    source, target = code_of(source), code_of(target)
    for language in (source, target):
        if language not in LANGUAGES:
            raise UserError(
                f"the world phrases speaks {', '.join(LANGUAGES)}, not {language}; give --set or "
                "--data for another language"
            )
    number = count if count and split == "train" else SIZES[split]
    made = [phrase(SEEDS[split], index, split) for index in range(number)]
    ours, theirs = LANGUAGES.index(source), LANGUAGES.index(target)
    return Pairs([each[ours] for each in made], [each[theirs] for each in made])
