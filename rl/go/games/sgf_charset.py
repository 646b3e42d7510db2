"""The text in the bytes of a game's file: by the encoding that the file names, or by a guess.

Known are the encodings that Go servers and editors write. Each is read by Python's encoding that
has all its characters (WHATWG Encoding). The rules, which `decode` also reports in words:

1. A byte order mark decides. Otherwise the encoding in CA is used if it decodes all bytes. A
   single-byte encoding decodes anything, so it is used only if the bytes are not valid UTF-8.
2. Otherwise UTF-8 is used if it decodes all bytes.
3. Otherwise the encoding in CA is used, with U+FFFD for what is broken; but not if CA names UTF-8
   and more of its non-ASCII characters are broken than whole.
4. Otherwise the encoding of GUESSED whose characters are the most familiar (`familiarity`), or
   Latin-1 if none is familiar.
"""

import re
from functools import cache

# What CA may name, in lower case without anything but letters and digits. Python knows others that
# were never meant for files, and some of those take the square of the text's length.
ENCODINGS = {
    **dict.fromkeys(("utf8", "utf"), "utf-8-sig"),
    **dict.fromkeys(("iso88591", "latin1", "ascii", "usascii", "windows1252", "cp1252"), "cp1252"),
    **dict.fromkeys(("gb2312", "gbk", "gb18030", "cp936", "euccn"), "gb18030"),
    **dict.fromkeys(("big5", "big5hkscs", "cp950"), "big5hkscs"),
    **dict.fromkeys(("shiftjis", "sjis", "xsjis", "cp932", "windows31j"), "cp932"),
    **dict.fromkeys(("euckr", "ksc56011987", "uhc", "cp949"), "cp949"),
    "eucjp": "euc_jp",
    "iso2022jp": "iso2022_jp",
    **{f"iso8859{n}": f"iso8859-{n}" for n in (2, 5, 7, 9, 15)},
    **{f"windows{n}": f"cp{n}" for n in (1250, 1251, 1253, 1254)},
    **{name: name for name in ("cp1250", "cp1251", "koi8r", "koi8u")},
}
# What is guessed among: Python's encoding, its name for people, the narrow standard within it, the
# lead bytes there of everyday characters, and characters that records of Go are full of.
GUESSED = {
    "gb18030": (
        "GB18030",
        "gb2312",
        [(0xB0, 0xD7)],
        (
            "黑白胜负目半子中盘段级执先杯赛局围棋决第届国韩日本对战业余快棋网甲联一二三四五六七八九十"
            "李王张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗柯洁古力常昊聂卫平时越唐韦星芈昱廷党毅飞连笑范钰江维"
            "杰睿羊檀啸轩豪辜梓丁浩鼎新谢尔许嘉阳钦诚晨宇屠晓於之莹赫喆喜朴廷桓申真谞"
            "天地人大上下水火山石金木月日年龙虎风云飞雪花春夏秋东南西北老心无道长海星阵世界你好我他的是"
        ),
    ),
    "cp932": (
        "Shift_JIS",
        "shift_jis",
        [(0x82, 0x83), (0x88, 0x98)],
        (
            "黒白番中押勝負目半段級先互棋聖名人本因坊王座天元碁十戦局期第回杯新山田井上下高橋中村小林木"
            "佐藤加川口野原石松竹大石裕太一力遼芝虎丸張栩許家元敬吾紳路直樹河臨趙治勲光武宮正夫英雄秀行坂"
            "栄男清源谷実関航郎愛咲美邑菫里菜月望渡辺伊吉和子健三結城聡依紀基瀬戸"
        ),
    ),
    "cp949": (
        "EUC-KR",
        "euc_kr",
        [(0xB0, 0xC8)],
        (
            "흑백승불계반집국단구팔칠육오사삼이일전배기회대결한중본바둑김이박최정강조윤장임신서권황안송유홍"
            "고문양손배백허남심노하주우성민준진원동현훈영창호세돌철지석상건욱수봉희혁규은채선미나재용태"
            "가다라마바사아자차카타파리을를은는의에랑늘방달별님왕신인생천산들꽃봄동부산서울"
        ),
    ),
    "big5hkscs": (
        "Big5",
        "big5",
        [(0xA4, 0xC6)],
        (
            "黑白勝負目半子中盤段級執先盃賽局圍棋決第屆國韓日本對戰業餘台灣院際一二三四五六七八九十成功"
            "李王張劉陳楊趙黃周吳徐孫胡朱高林何郭馬羅俊勳栩立誠海峰嘉詩淵至涵蕭正浩元均許皓鋐賴輔靖恩簡庭"
        ),
    ),
}
ONE_BYTE = ("cp125", "iso8859", "koi8")
CHARACTERS = 4_096  # that a guess is made from
SAMPLE = 65_536  # bytes, from the first that is no ASCII


def decode(data: bytes) -> tuple[str, str]:
    """Return a file's text, and in a line what was assumed about its encoding, if anything."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace"), ""
    named = re.search(rb"CA\s*\[\s*([\w.: -]{1,40}?)\s*\]", data[:4096])
    name = named.group(1).decode("latin-1") if named else ""
    encoding = ENCODINGS.get(re.sub(r"[^a-z0-9]", "", name.lower()), "")
    reason = (
        f"it names {name}, of which its bytes are not"
        if encoding
        else (f"its encoding {name!r} is not known" if name else "it names no encoding")
    )
    corrected = f"read as UTF-8, although it names {name}" if encoding else ""
    order = [(encoding, ""), ("utf-8-sig", corrected)]
    if encoding.startswith(ONE_BYTE) and not data.isascii():
        order.reverse()
    for each, note in order:
        text = strictly(data, each)
        if text is not None:
            return text, note
    if encoding and not (encoding == "utf-8-sig" and mostly_broken(data)):
        note = f"some of its bytes are no {name}: shown as \N{REPLACEMENT CHARACTER}"
        return data.decode(encoding, errors="replace"), note
    guess, shown = guessed(data)
    return data.decode(guess, errors="replace"), f"read as {shown}, a guess: {reason}"


def strictly(data: bytes, encoding: str) -> str | None:
    """Return the text if all bytes are of an encoding."""
    try:
        return data.decode(encoding) if encoding else None
    except UnicodeError:
        return None


def mostly_broken(data: bytes) -> bool:
    """Return whether, in UTF-8, more than half of the non-ASCII characters are broken."""
    text = data.decode("utf-8", errors="replace")
    broken = text.count("\N{REPLACEMENT CHARACTER}")
    return 2 * broken > len(text) - len(text.encode("ascii", errors="ignore"))


def guessed(data: bytes) -> tuple[str, str]:
    """Return the likeliest encoding of bytes that are no UTF-8, and its name."""
    first = re.search(rb"[\x80-\xff]", data)
    start = first.start() if first else 0
    sample = data[max(start - 1, 0) : start + SAMPLE]
    best, chosen = latin_familiarity(sample), ("cp1252", "Latin-1")
    for encoding, (name, *_) in GUESSED.items():
        found = familiarity(sample.decode(encoding, errors="replace"), encoding)
        if found > best:
            best, chosen = found, (encoding, name)
    return chosen


def familiarity(text: str, encoding: str) -> float:
    """Return how familiar the characters of a text that are no ASCII are on average: 3 for one that
    records are full of, 1 for an everyday one, 0 for another of the narrow standard, -1 for one
    outside it and -3 for a broken one.
    """
    found = re.findall("[^\x00-\x7f]", text)[:CHARACTERS]
    return sum(weight(c, encoding) for c in found) / max(len(found), 1)


@cache
def weight(character: str, encoding: str) -> float:
    """Return what one character adds to `familiarity`."""
    _, narrow, everyday, frequent = GUESSED[encoding]
    if character in frequent:
        return 3.0
    if character == "\N{REPLACEMENT CHARACTER}":
        return -3.0
    try:
        lead = character.encode(narrow)
    except UnicodeError:
        return -1.0
    if len(lead) < 2:  # half a width: katakana, which no program writes any more
        return -1.0
    return 1.0 if any(low <= lead[0] <= high for low, high in everyday) else 0.0


def latin_familiarity(sample: bytes) -> float:
    """Return the same for Latin-1: 2 for a letter with an accent in a word of ASCII letters, else
    -1; at least 0, so that it is read where nothing else is familiar."""
    found = re.findall(rb"[\x80-\xff]", sample)[:CHARACTERS]
    inside = re.findall(rb"(?<=[A-Za-z])[\xc0-\xff](?![\x80-\xff])", sample)
    inside += re.findall(rb"(?<![\x80-\xff])(?<![A-Za-z])[\xc0-\xff](?=[A-Za-z])", sample)
    count = min(len(inside), len(found))
    return max((2.0 * count - (len(found) - count)) / max(len(found), 1), 0.0)
