"""Readers of texts on hand-made files: aligned, gzip, tab-separated; what is wrong is named."""

import codecs
import gzip
import io
import lzma
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from backbones.training.errors import UserError
from tasks.data.formats.text import raw_lines, read_lines, read_pairs, split_of, stream_lines
from tasks.data.vocabulary import END, UNKNOWN, Vocabulary, learn


def write(folder, **files):
    for name, text in files.items():
        data = text if isinstance(text, bytes) else text.encode()
        (folder / name.replace("__", ".")).write_bytes(data)
    return folder


def test_two_files_are_read_line_by_line(tmp_path):
    write(
        tmp_path, train__en="one\r\ntwo\u2028halves\nthree", train__de="eins\nzwei Hälften\ndrei\n"
    )
    pairs = read_pairs(tmp_path, "train", "en", "de")
    assert pairs.source == ["one", "two\u2028halves", "three"]
    assert pairs.target == ["eins", "zwei Hälften", "drei"] and not pairs.tokenised


def test_gzip_and_names_with_more_in_them_are_known(tmp_path):
    names = {
        "test_2016__lc__tok__en": "a man .\n",
        "test_2016__lc__tok__de__gz": gzip.compress(b"ein mann .\n"),
    }
    pairs = read_pairs(write(tmp_path, **names), "test", "en", "de")
    assert (pairs.source, pairs.target, pairs.tokenised) == (["a man ."], ["ein mann ."], True)


def test_a_byte_order_mark_is_not_part_of_the_first_line(tmp_path):
    write(tmp_path, train__en=b"\xef\xbb\xbfone\n")
    assert read_lines(tmp_path / "train.en") == ["one"]


def test_pairs_with_an_empty_side_are_left_out_and_counted(tmp_path):
    write(tmp_path, train__en="one\n\nthree\n \n", train__de="eins\nzwei\n\n \n")
    pairs = read_pairs(tmp_path, "train", "en", "de")
    assert (pairs.source, pairs.target, pairs.left_out) == (["one"], ["eins"], 3)


def test_what_has_no_files_of_its_own_is_split_off_the_training_texts(tmp_path):
    lines = [f"number {n}" for n in range(1_000)]
    text = "\n".join(lines) + "\n"
    write(tmp_path, train__en=text, train__de=text, val__en="a\nb\n", val__de="c\nd\n")
    train, val, test = (read_pairs(tmp_path, s, "en", "de") for s in ("train", "val", "test"))
    assert val.source == ["a", "b"] and not val.split_off and test.split_off
    assert sorted(train.source + test.source) == sorted(lines) and 2 < len(test) < 30
    assert all(split_of(line) == "test" for line in test.source) and train.source[0] == lines[0]
    write(tmp_path, train__en="one\n", train__de="eins\n")
    with pytest.raises(UserError, match=r"no test texts, and too few training texts \(1 pairs\)"):
        read_pairs(tmp_path, "test", "en", "de")


def test_texts_have_a_digest_of_both_sides(tmp_path):
    write(tmp_path, train__en="a\nb\n", train__de="c\nd\n", val__en="a\nb\n", val__de="c\ne\n")
    train, val = (read_pairs(tmp_path, split, "en", "de") for split in ("train", "val"))
    assert len(train.digest) == 16 and train.digest != val.digest
    assert train.digest == read_pairs(tmp_path, "train", "en", "de").digest


def test_a_zip_of_tab_separated_pairs_is_split_by_sentence(tmp_path):
    rows = [f"Number {n}.\tNummer {n}{mark}\tCC-BY" for n in range(2_000) for mark in ".!"]
    with zipfile.ZipFile(tmp_path / "deu-eng.zip", "w") as archive:
        archive.writestr("_about.txt", "about")
        archive.writestr("deu.txt", "\n".join(rows))
    splits = {split: read_pairs(tmp_path, split, "en", "de") for split in ("train", "val", "test")}
    assert sum(map(len, splits.values())) == 4_000 and all(map(len, splits.values()))
    for split, pairs in splits.items():
        assert all(split_of(line) == split for line in pairs.source)
        assert pairs.target[0].startswith(pairs.source[0].replace("Number", "Nummer")[:-1])
    back = read_pairs(tmp_path, "test", "de", "en")
    assert all(split_of(line) == "test" for line in back.source)
    again = read_pairs(tmp_path, "test", "eng", "german")
    assert (again.source, again.target) == (splits["test"].source, splits["test"].target)


def test_what_is_asked_in_the_test_is_never_learnt_whatever_the_direction(tmp_path):
    # Every German sentence stands for several English ones, as in Tatoeba.
    rows = [f"Number {n} {way}.\tNummer {n}." for n in range(500) for way in range(4)]
    with zipfile.ZipFile(tmp_path / "deu-eng.zip", "w") as archive:
        archive.writestr("deu.txt", "\n".join(rows))
    for source, target in (("en", "de"), ("de", "en")):
        train, test = (
            set(read_pairs(tmp_path, s, source, target).source) for s in ("train", "test")
        )
        assert test and not train & test


def test_other_names_of_splits_and_languages_are_known(tmp_path):
    text = "\n".join(f"line {n}" for n in range(400)) + "\n"
    write(tmp_path, train__en=text, train__de=text, Valid__en="a\n", Valid__de="b\n")
    write(tmp_path, dev__fr="c\n", testing__en="d\n", testing__deu="e\n")
    val, test = (read_pairs(tmp_path, split, "en", "de") for split in ("val", "test"))
    assert (val.source, val.target, val.split_off) == (["a"], ["b"], False)
    assert (test.source, test.target) == (["d"], ["e"])
    assert len(read_pairs(tmp_path, "train", "en", "de")) == 400
    write(tmp_path, dev__en="a\n")
    with pytest.raises(UserError, match="each of them means val"):
        read_pairs(tmp_path, "val", "en", "de")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        (dict(train__en="a\nb\n", train__de="x\n"), "train.en has 2 lines and train.de 1"),
        (dict(train__en="a\n"), "has no train text in de; it holds train.en"),
        (dict(train__en="a\n", train__de=b"gut\nsch\xf6n\n"), "train.de, line 2: byte 0xf6 is no"),
        (dict(train__en="\n", train__de="\n"), "train.en has no line with a translation"),
        (dict(other="x"), "has no train.en"),
        (
            dict(train__en="a\n", train__lc__en="b\n", train__de="x\n"),
            "more than one train text in en",
        ),
        (dict(train__en=gzip.compress(b"a\n" * 99)[:-9], train__de="x\n"), "cannot be read"),
        (dict(train__en="a\n".encode("utf-16"), train__de="x\n"), "line 1: begins as UTF-16 does"),
        (dict(train__en="a\n".encode("utf-32"), train__de="x\n"), "iconv -f utf-32 -t utf-8"),
        (dict(train__en="a\n".encode("utf-16le"), train__de="x\n"), "line 1: has zero bytes"),
        (dict(train__en=lzma.compress(b"a\n"), train__de="x\n"), "packed by xz, no text; unpack"),
        (dict(train__en=b"PK\x03\x04", train__de="x\n"), "is a zip file, no text"),
        (dict(train__en="a" * (2**20 + 1), train__de="x\n"), "line 1: more than 1 MiB; give one"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, files, words):
    with pytest.raises(UserError, match=words.replace("(", r"\(")):
        read_pairs(write(tmp_path, **files), "train", "en", "de")


def test_a_zip_that_is_none_and_a_line_without_a_tab_are_named(tmp_path):
    (tmp_path / "fra-eng.zip").write_bytes(b"PK nonsense")
    with pytest.raises(UserError, match="cannot be read"):
        read_pairs(tmp_path, "train", "en", "fr")
    with zipfile.ZipFile(tmp_path / "fra-eng.zip", "w") as archive:
        archive.writestr("fra.txt", "Go.\tVa !\nRun!\n")
    with pytest.raises(UserError, match="line 2 has no tab"):
        read_pairs(tmp_path, "train", "en", "fr")
    with pytest.raises(UserError, match="has eng and fra, not de"):
        read_pairs(tmp_path, "train", "en", "de")


def test_pieces_make_their_line_again():
    lines = ["the white house .", "a white horse", "das weiße haus", "zwei männer"] * 5
    vocabulary = Vocabulary(learn(lines, 60))
    pieces = vocabulary.encode(lines)
    assert vocabulary.decode(pieces) == lines and len(vocabulary) <= 60
    assert vocabulary.encode([""]) == [[]]
    assert UNKNOWN in vocabulary.encode(["漢字"])[0]
    assert vocabulary.unknown("zwei 漢字 haus") == ["漢字"]
    assert vocabulary.decode([[*pieces[0], END]]) == lines[:1]


def test_a_vocabulary_that_is_damaged_or_cannot_be_learnt_is_refused():
    with pytest.raises(UserError, match="damaged"):
        Vocabulary("bm90IG9uZQ==")
    with pytest.raises(UserError, match="damaged"):
        Vocabulary("not base64!")
    with pytest.raises(
        UserError, match=r"2 pieces could be learnt: padding, .* give more --pieces"
    ):
        learn(["a few letters"], 2)
    with pytest.raises(UserError, match="all lines are blank, or longer than 100,000 bytes"):
        learn(["", "a" * 100_001], 300)


def test_a_vocabulary_that_is_too_small_says_how_many_pieces_are_enough():
    lines = ["".join(chr(0x4E00 + n) for n in range(start, start + 20)) for start in range(400)]
    with pytest.raises(UserError, match=r"needs one; give --pieces (\d+) or more") as error:
        learn(lines, 300)
    assert "vocab_size" not in str(error.value) and "character_coverage" not in str(error.value)
    enough = int(re.findall(r"--pieces (\d+)", str(error.value))[0])
    assert len(Vocabulary(learn(lines, enough))) == enough


def test_multi30k_and_tatoeba_read_whole():
    home = Path(os.environ.get("ARCADIA_DATA", "/nowhere"))
    if not (home / "multi30k").is_dir() or not (home / "tatoeba").is_dir():
        pytest.skip("needs multi30k and tatoeba in $ARCADIA_DATA")
    counts = [
        len(read_pairs(home / "multi30k" / "tok", split, "en", "de"))
        for split in ("train", "val", "test")
    ]
    assert counts == [29_000, 1_014, 1_000]
    assert len(read_pairs(home / "multi30k" / "raw", "val", "en", "fr")) == 1_014
    counts = [len(read_pairs(home / "tatoeba", split, "fr", "en")) for split in ("train", "test")]
    assert counts[0] > 130_000 and 1_000 < counts[1] < 2_000


def test_what_unpacks_to_far_more_than_its_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("backbones.training.files.ALWAYS_UNPACKED_BYTES", 2**16)
    bomb = b"a\n" * 2**20
    write(tmp_path, train__en__gz=gzip.compress(bomb), train__de="x\n")
    with pytest.raises(UserError, match=r"train.en.gz has more than .* KiB, the most that is"):
        read_pairs(tmp_path, "train", "en", "de")
    (tmp_path / "zip").mkdir()
    for kind, words in ((zipfile.ZIP_DEFLATED, "KiB, the most"), (zipfile.ZIP_LZMA, "LZMA")):
        with zipfile.ZipFile(tmp_path / "zip" / "fra-eng.zip", "w", kind) as archive:
            archive.writestr("fra.txt", bomb)
        with pytest.raises(UserError, match=words):
            read_pairs(tmp_path / "zip", "train", "fr", "eng")


def test_lines_of_a_stream_are_those_of_a_file():
    data = codecs.BOM_UTF8 + b"one\r\n\ntwo\xe2\x80\xa8halves\nlast"
    assert list(stream_lines(io.BytesIO(data), "x")) == raw_lines(data)
    long = list(stream_lines(io.BytesIO(b"a" * 2**22 + b"\nb\n"), "x"))
    assert len(long[0]) == 2**20 + 1 and long[1:] == [b"b"]
    with pytest.raises(UserError, match="x, line 2 does not end within 64 MiB; give one"):
        list(stream_lines(io.BytesIO(b"a\n" + bytes(2**26 + 2**21)), "x"))


def test_a_short_text_asks_for_little_memory(tmp_path):
    (tmp_path / "t.txt").write_text("two dogs play in the snow .\n")
    script = (
        "import resource, sys; from pathlib import Path\n"
        "from tasks.data.formats.text import read_lines\n"
        "now = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (now + 2**26, now + 2**26))\n"
        "print(read_lines(Path(sys.argv[1])))"
    )
    words = [sys.executable, "-c", script, str(tmp_path / "t.txt")]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.stdout == "['two dogs play in the snow .']\n", done.stderr
