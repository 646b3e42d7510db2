"""Names of languages: `de`, `deu`, `ger` and `german` are one, and so are `zh`, `zh-CN` and `cmn`.

ISO 639's codes of two letters, of three (both kinds, and those of Chinese, which ManyThings uses),
and the English name. A name that is not here is a language of its own.
"""

LANGUAGES = """
ar ara arabic; bg bul bulgarian; bn ben bengali; bo bod tib tibetan; ca cat catalan;
cs ces cze czech; da dan danish; de deu ger german; dz dzo dzongkha; el ell gre greek;
en eng english; eo epo esperanto; es spa spanish; et est estonian; eu eus baq basque;
fa fas per persian; fi fin finnish; fr fra fre french; ga gle irish; gl glg galician;
he heb hebrew; hi hin hindi; hr hrv croatian; hu hun hungarian; hy hye arm armenian;
id ind indonesian; is isl ice icelandic; it ita italian; ja jpn japanese; ka kat geo georgian;
km khm khmer; ko kor korean; la lat latin; lo lao; lt lit lithuanian; lv lav latvian;
mk mkd mac macedonian; ms msa may malay; my mya bur burmese; nl nld dut dutch;
no nor nob nb norwegian; pl pol polish; pt por portuguese; ro ron rum romanian; ru rus russian;
sk slk slo slovak; sl slv slovenian; sq sqi alb albanian; sr srp serbian; sv swe swedish;
sw swa swahili; ta tam tamil; te tel telugu; th tha thai; tl tgl tagalog; tr tur turkish;
uk ukr ukrainian; ur urd urdu; vi vie vietnamese; zh zho chi cmn yue wuu lzh chinese mandarin
"""
NAMES = [group.split() for group in LANGUAGES.split(";")]
CODES = {name: group[0] for group in NAMES for name in group}
# Written without blanks between words: sacrebleu's own rule for Chinese, else single characters.
WITHOUT_BLANKS = {"zh": "zh"} | dict.fromkeys(("ja", "th", "lo", "km", "my", "bo", "dz"), "char")


def code_of(language: str) -> str:
    """Return a language's short code, whichever of its names is given: `de` for `deu`."""
    name = language.lower().replace("_", "-").partition("-")[0]
    return CODES.get(name, language)


def names_of(language: str) -> list[str]:
    """Return all names of a language, the given one first."""
    others = [name for group in NAMES if group[0] == code_of(language) for name in group]
    return [language, *(name for name in others if name != language)]


def tokeniser_of(language: str) -> str:
    """Return sacrebleu's name of the tokeniser by which texts of a language are scored."""
    return WITHOUT_BLANKS.get(code_of(language), "13a")
