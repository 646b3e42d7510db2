"""Mutations of files: what hypothesis draws to make something of a good file that should not be.

A mutation takes bytes or a table and returns others; what is drawn are only places and choices, so
a failing one shrinks to few changes. `odd_words.py` has those of words.
"""

import bz2
import copy
import gzip
import io
import json
import lzma
import struct
import tarfile
import warnings
import zipfile
from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Draw = Callable[..., Any]


class Good(bytes):
    """A good file, which stays out of what hypothesis prints."""

    def __repr__(self) -> str:
        return f"a file of {len(self):,} bytes"


DEEP = "@deep@"  # stands for a list in a list in a list, which json cannot write
PATHS = (
    "../outside",
    "../../outside",
    "/dev/zero",
    "/proc/self/mem",
    "/proc/nowhere/x",
    "..",
    ".",
    "/",
    "a/../../outside",
    "C:\\x",
    "con",
    "x" * 300,
    "x/" * 2000 + "x",
    "~root/x",
    "-",
    "\\\\host\\x",
)
MODULES = (
    "evilpayload:E-v0",
    "evilpayload",
    "antigravity:E-v0",
    "tests.rl.games.unruly_game:Unruly-v0",
    "../evilpayload:E-v0",
    "evilpayload.sub:E-v0",
    "rl.games.make",
    "os:system",
)
NUMBERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    255,
    10**5,
    2**31 - 1,
    2**31,
    2**32,
    2**63,
    2**64,
    2**200,
    -(2**63),
    10**12,
    0.5,
    -0.5,
    1e-12,
    1e30,
    1e308,
    float("nan"),
    float("inf"),
    float("-inf"),
)
TEXTS = (
    "",
    " ",
    "x",
    "auto",
    "none",
    "0",
    "-1",
    "1e9",
    "nan",
    "null",
    "\n",
    "two\nlines",
    "\x00",
    "\x1b[31mred\x1b[0m",
    "\ud800",
    "[bold]x[/bold]",
    "é" * 9,
    "漢字",
    "x" * 100_000,
    "cpu",
    "cuda:99",
    "meta",
    "nature",
    "impala",
    "lstm",
    "bf16",
)
ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    [],
    {},
    [[]],
    [None],
    [1, 2, 3],
    ["x"] * 1000,
    {"a": 1},
    {"": {}},
    DEEP,
    *NUMBERS,
    *TEXTS,
    *PATHS,
    *MODULES,
)
# Copies: a later change of the same draw may go into a list or table that was put in.
odd = st.sampled_from(ODD).map(copy.deepcopy)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths to everything inside a table or list."""
    found = []
    if isinstance(value, dict | list):
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            found += [(*at, key), *places(part, (*at, key))]
    return found


@st.composite
def changed_table(draw: Draw, table: Any) -> Any:
    """Draw a table with values of other types, and keys taken out, put in and renamed."""
    table = json.loads(json.dumps(table))
    for _ in range(draw(st.integers(1, 3))):
        if not (paths := places(table)):
            return draw(odd)
        *way, key = draw(st.sampled_from(paths))
        holder = table
        for step in way:
            holder = holder[step]
        change = draw(st.sampled_from(("odd", "odd", "odd", "out", "in", "twice")))
        if change == "odd":
            holder[key] = draw(odd)
        elif change == "out":
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(0, draw(odd) if change == "in" else holder[key])
        else:
            name = draw(st.sampled_from((*PATHS, *TEXTS))) if change == "in" else f"{key} "
            holder[name] = draw(odd) if change == "in" else holder[key]
    return table


def to_json(table: Any) -> bytes:
    """Return a table as JSON, with depth where it stands for that."""
    text = json.dumps(table, indent=1)
    return text.replace(f'"{DEEP}"', "[" * 50_000 + "]" * 50_000).encode()


@st.composite
def changed_bytes(draw: Draw, data: bytes, most: int = 3) -> bytes:
    """Draw bytes with bits turned, numbers overwritten, parts cut off, taken out or repeated.

    Half of the places are within the first 600 bytes, where formats keep what matters.
    """
    for _ in range(draw(st.integers(1, most))):
        last = max(len(data) - 1, 0)
        at = draw(st.one_of(st.integers(0, min(600, last)), st.integers(0, last)))
        size = draw(st.sampled_from((1, 2, 4, 8, 64, 512, 4096)))
        head, part, rest = data[:at], data[at : at + size], data[at + size :]
        change = draw(st.sampled_from(("bit", "number", "number", "cut", "out", "again", "text")))
        if change == "bit" and at < len(data):
            turned = part[0] ^ (1 << draw(st.integers(0, 7)))
            data = head + bytes([turned]) + data[at + 1 :]
        elif change == "number":
            fill = draw(st.sampled_from((0x00, 0xFF, 0x7F, 0x80, 0x01, 0x30, 0x5B)))
            data = head + bytes([fill]) * min(size, 8) + data[at + min(size, 8) :]
        elif change == "cut":
            data = head
        elif change == "out":
            data = head + rest
        elif change == "again":
            data = head + part * draw(st.sampled_from((2, 9, 300))) + rest
        elif change == "text":
            text = draw(st.sampled_from((*PATHS[:6], *MODULES[:3], "\n", "[" * 5000, "\ud800")))
            data = head + text.encode(errors="surrogatepass") + rest
    return data


def changed_json(data: bytes) -> st.SearchStrategy[bytes]:
    """Draw JSON with other contents, or with other bytes."""
    tables = changed_table(json.loads(data)).map(to_json)
    return st.one_of(tables, tables, tables, changed_bytes(data))


@st.composite
def changed_safetensors(draw: Draw, data: bytes) -> bytes:
    """Draw a .safetensors file with another header, a header of another length, or other bytes."""
    if draw(st.integers(0, 2)) == 0:
        return draw(changed_bytes(data))
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8 : 8 + size])
    card = header.get("__metadata__", {})
    if card and draw(st.booleans()):
        name = draw(st.sampled_from(sorted(card)))
        card[name] = draw(changed_json(card[name].encode())).decode(errors="replace")
        text = json.dumps(header).encode()
    else:
        text = to_json(draw(changed_table(header)))
    claimed = draw(st.sampled_from((len(text),) * 5 + (0, 2**31, 2**63, 2**64 - 1)))
    return struct.pack("<Q", claimed) + text + data[8 + size :]


@st.composite
def changed_zip(draw: Draw, data: bytes) -> bytes:
    """Draw a .zip with changed, renamed, repeated, missing or hugely compressed files in it."""
    if draw(st.integers(0, 3)) == 0:
        return draw(changed_bytes(data))
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(name, archive.read(name)) for name in archive.namelist()]
    for _ in range(draw(st.integers(1, 2))):
        at = draw(st.integers(0, len(members) - 1))
        name, content = members[at]
        change = draw(st.sampled_from(("inside", "inside", "name", "again", "bomb", "out")))
        if change == "inside":
            members[at] = name, draw(changed_content(content))
        elif change == "name":
            members[at] = draw(st.sampled_from(PATHS)), content
        elif change == "again":
            members.append((name, draw(changed_content(content))))
        elif change == "bomb":
            members[at] = name, bytes(2**24)
        elif len(members) > 1:
            del members[at]
    out, kind = io.BytesIO(), draw(st.sampled_from((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")  # that a name is there twice
        for name, content in members:
            archive.writestr(zipfile.ZipInfo(name), content, kind)
    return out.getvalue()


def changed_content(content: bytes) -> st.SearchStrategy[bytes]:
    """Draw other contents of a file in an archive, by what it holds."""
    if content[:1] in (b"{", b"["):
        return changed_json(content)
    return changed_zip(content) if content[:2] == b"PK" else changed_bytes(content)


@st.composite
def changed_idx(draw: Draw, data: bytes) -> bytes:
    """Draw an IDX file with another header, more or fewer values, or other bytes; perhaps gzip."""
    num = {0x801: 1, 0x803: 3}[int.from_bytes(data[:4], "big")]
    header = list(struct.unpack(f">{num + 1}I", data[: 4 * num + 4]))
    values = data[4 * num + 4 :]
    change = draw(st.sampled_from(("header", "header", "values", "bytes", "bomb")))
    if change == "header":
        number = draw(st.sampled_from((0, 1, 2, 7, 0x801, 0x803, 0xD03, 2**15, 2**30, 2**32 - 1)))
        header[draw(st.integers(0, num))] = number
    elif change == "values":
        values = values * draw(st.integers(0, 3)) + bytes([draw(st.integers(0, 255))])
    elif change == "bomb":
        header[1:] = [2**24] if num == 1 else [2**12, 2**6, 2**6]
        values = bytes(2**24 + draw(st.sampled_from((-1, 0, 1))))
    data = struct.pack(f">{num + 1}I", *header) + values
    if change == "bytes":
        data = draw(changed_bytes(data))
    if change == "bomb" or draw(st.booleans()):
        data = gzip.compress(data, 1)
        data = draw(changed_bytes(data)) if draw(st.integers(0, 3)) == 0 else data
    return data


TAR_TYPES = tuple(bytes([letter]) for letter in b"0123457xgLKSDMV\x00Z")


@st.composite
def changed_tar(draw: Draw, members: dict[str, bytes]) -> bytes:
    """Draw a tar with paths that lead out, links, devices, false sizes and odd headers."""
    out, files = io.BytesIO(), list(members.items())
    headers = draw(st.sampled_from((tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT)))
    changed = draw(st.sets(st.integers(0, len(files) - 1), max_size=2))
    for at, (name, content) in enumerate(files):
        member = tarfile.TarInfo(name)
        member.size = len(content)
        if at in changed:
            change_member(draw, member)
        try:
            header = member.tobuf(headers, errors="surrogateescape")
        except ValueError:  # ustar has no room for it
            header = member.tobuf(tarfile.PAX_FORMAT, errors="surrogateescape")
        padding = bytes(-len(content) % 512)
        out.write(header + content + padding)
    out.write(bytes(draw(st.sampled_from((0, 512, 1024, 1024, 1024, 10240)))))
    data = out.getvalue()
    if draw(st.integers(0, 3)) == 0:
        data = draw(changed_bytes(data))
    pack = draw(st.sampled_from((bytes, bytes, gzip.compress, lzma.compress, bz2.compress)))
    packed: bytes = pack(data)
    return draw(changed_bytes(packed)) if draw(st.integers(0, 5)) == 0 else packed


def change_member(draw: Draw, member: tarfile.TarInfo) -> None:
    """Change one thing about a file of a tar."""
    change = draw(st.sampled_from(("name", "type", "size", "pax")))
    if change == "name":
        member.name = draw(st.sampled_from(PATHS)) + draw(st.sampled_from(("", "/x.png", ".jpg")))
    elif change == "type":
        member.type = draw(st.sampled_from(TAR_TYPES))
        member.linkname = draw(st.sampled_from(PATHS))
    elif change == "size":
        member.size = draw(st.sampled_from((0, 1, 511, 513, 2**20, 2**33, 2**40)))
    else:
        keys = (
            "path",
            "size",
            "linkpath",
            "hdrcharset",
            "GNU.sparse.map",
            "GNU.sparse.size",
            "GNU.sparse.major",
            "GNU.sparse.realsize",
        )
        values = ("-1", "x", "1e9", "9" * 40, "0,9999999999", *PATHS[:4])
        member.pax_headers = {draw(st.sampled_from(keys)): draw(st.sampled_from(values))}


SGF_WORDS = (
    "SZ[9]",
    "SZ[19:19]",
    "SZ[0]",
    "SZ[99999999999]",
    "SZ[x]",
    "GM[1]",
    "GM[3]",
    "KM[1e999]",
    "KM[nan]",
    "RU[Japanese]",
    "RU[" + "x" * 300 + "]",
    "CA[UTF-16]",
    "CA[x]",
    "CA[idna]",
    "CA[rot13]",
    "CA[zlib]",
    "AB[aa][bb]",
    "AB[aa:ss]",
    "AB[aa:zz]",
    "AW[aa]",
    "AE[aa]",
    "AE[aa:ii]",
    "PL[W]",
    "PL[x]",
    "B[aa]",
    "W[aa]",
    "B[]",
    "W[tt]",
    "B[zz]",
    "B",
    "B[aa",
    "B[\\",
    "RE[B+R]",
    "RE[\x1b[2J\\]]",
    "C[" + "[" * 300 + "]",
    "HA[9]",
    "MN[99999999]",
    "VW[]",
    "FF[4]",
    "FF[1]",
    "LB[aa:x]",
    "KO[]",
    "DT[2026-13-45]",
    "TM[-1]",
    "OT[x]",
    "PB[\ud800]",
    "AP[x:y:z]",
    "]",
    "[",
    ")",
    "(",
    "(;",
    ";",
    "(" * 500,
    ")" * 500,
    ";" * 9000,
    "(;B[aa]" * 3000,
    "\x00",
    "\ufeff",
)


@st.composite
def changed_sgf(draw: Draw, data: bytes) -> bytes:
    """Draw a game with properties, nodes and variations put in, taken out, moved and repeated."""
    if draw(st.integers(0, 3)) == 0:
        return draw(changed_bytes(data))
    text = data.decode()
    for _ in range(draw(st.integers(1, 4))):
        ends = [n for n, letter in enumerate(text) if letter in "();]"] or [0]
        start, end = sorted((draw(st.sampled_from(ends)), draw(st.sampled_from(ends))))
        word = draw(st.sampled_from(SGF_WORDS))
        change = draw(st.sampled_from(("in", "in", "out", "again", "swap")))
        if change == "in":
            text = text[:start] + word + text[start:]
        elif change == "out":
            text = text[:start] + text[end:]
        elif change == "again":
            text = text[:end] + text[start:end] * draw(st.sampled_from((1, 2, 40))) + text[end:]
        else:
            text = text[:start] + word + text[end:]
    kind = draw(st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-16", "latin-1", "gbk")))
    return text.encode(kind, errors="surrogatepass" if kind == "utf-8" else "replace")


@st.composite
def changed_lines(draw: Draw, data: bytes) -> bytes:
    """Draw a text with odd lines, ends and characters, perhaps compressed."""
    lines = data.split(b"\n")
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        word = draw(st.sampled_from((*TEXTS, *PATHS, "\u2028", "\ufeff", "a\tb\tc", "\r")))
        odd_line = word.encode(errors="surrogatepass")
        count = draw(st.sampled_from((0, 1, 2, 500)))
        lines[at : at + draw(st.integers(0, 1))] = [odd_line] * count
        lines = lines or [b""]
    data = b"\n".join(lines)
    data = draw(changed_bytes(data)) if draw(st.integers(0, 3)) == 0 else data
    return gzip.compress(data) if draw(st.integers(0, 3)) == 0 else data
