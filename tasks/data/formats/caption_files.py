"""Files of captions, each read into a list of (photo, caption), with the line that is wrong.

    token   name.jpg#0<TAB>caption        Flickr8k.token.txt, results_20130124.token (Flickr30k)
    csv     image,caption                 captions.txt: quotes only where a caption needs them
    bars    name.jpg| 0| caption          results.csv (Flickr30k)
    coco    {"images", "annotations"}     captions_train2017.json
    splits  {"images": [{"sentences"}]}   dataset_flickr8k.json (Karpathy): with the split of each

White space within a caption is made one blank. What surprises: Flickr30k's results.csv lacks one of
its bars, which is read as if it stood there.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from backbones.training.errors import UserError
from backbones.training.files import read_bounded
from tasks.data.formats.text import read_lines
from tasks.data.split_names import NAMES, Split

LARGEST_JSON = 2**29  # of bytes: COCO's largest has 144 million
QUOTED = r'"((?:[^"]|"")*)"'
ROW = re.compile(rf"(?:{QUOTED}|([^,]*)),(.*)")
BARS = re.compile(r"image_name\s*\|.*|([^|]*)\|\s*\d+\s*\|?\s*(.*)")
TOKEN = re.compile(r"(.*)#\d+\s*\t(.*)")


@dataclass(frozen=True, slots=True)
class Caption:
    """One caption of a photo, and the photo's split where the file says so."""

    photo: str
    text: str
    split: Split | None = None


def caption_of(photo: str, text: str, split: Split | None = None) -> Caption:
    """Return a caption with the photo's name alone, without folders, and with single blanks."""
    # JSON can have half of a pair of surrogates, which no file can.
    text = text.encode(errors="replace").decode()
    return Caption(PurePosixPath(photo.strip()).name, " ".join(text.split()), split)


def text_in(entry: Any, key: str) -> str:
    """Return a text of a JSON object; TypeError or KeyError if there is none."""
    if not isinstance(entry[key], str):
        raise TypeError(f"{key} is {str(entry[key])[:40]!r}, no text")
    return str(entry[key])


def rows_of(path: Path, row: re.Pattern[str], expected: str) -> Iterator[tuple[str, re.Match[str]]]:
    """Yield every line that is not blank, matched; UserError for one that is not as expected."""
    for number, line in enumerate(read_lines(path), 1):
        if not line.strip():
            continue
        found = row.fullmatch(line)
        if not found:
            raise UserError(f"{path}, line {number}: {line[:80]!r} is not {expected}")
        yield f"{path}, line {number}", found


def read_token(path: Path) -> list[Caption]:
    """Return the captions of a token file; UserError for a line that is none."""
    rows = rows_of(path, TOKEN, "a photo's name, #, a number, a tab and a caption")
    return [caption_of(found[1], found[2]) for _, found in rows]


def read_bars(path: Path) -> list[Caption]:
    """Return the captions of Flickr30k's results.csv; UserError for a line that is none."""
    rows = rows_of(path, BARS, "a photo's name, a number and a caption with bars between")
    return [caption_of(found[1], found[2]) for _, found in rows if found[1] is not None]


def read_csv(path: Path) -> list[Caption]:
    """Return the captions of `image,caption`; UserError for a line that is none.

    A caption may have commas of its own even without quotes round it.
    """
    captions = []
    rows = rows_of(path, ROW, "a photo's name, a comma and a caption")
    for n, (where, found) in enumerate(rows):
        quoted, name, text = found.groups()
        photo = name if quoted is None else unquoted(quoted)
        whole = re.fullmatch(QUOTED, text.strip())
        if whole:
            text = unquoted(whole[1])
        elif text.lstrip().startswith('"') and text.count('"') % 2:
            raise UserError(f"{where}: a quote does not end; write each caption on one line")
        if n or (photo.lower(), text.lower()) != ("image", "caption"):
            captions.append(caption_of(photo, text))
    return captions


def unquoted(text: str) -> str:
    return text.replace('""', '"')


def parsed_json(path: Path) -> Any:
    """Return what a JSON file holds; UserError if it is none or too large."""
    try:
        return json.loads(read_bounded(path, LARGEST_JSON))
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror})") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no JSON ({str(error).splitlines()[0]})") from None


def read_coco(path: Path) -> list[Caption]:
    """Return the captions of COCO's JSON, photos without any with an empty one; UserError for
    other JSON, or a caption of no photo."""
    found = parsed_json(path)
    try:
        names = {each["id"]: text_in(each, "file_name") for each in found["images"]}
        told = [(each["image_id"], text_in(each, "caption")) for each in found["annotations"]]
        captions = [caption_of(names[number], text) for number, text in told]
        without = names.keys() - {number for number, _ in told}
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} has not what COCO's captions have ({type(error).__name__}: {error}); expected "
            '{"images": [{"id", "file_name"}], "annotations": [{"image_id", "caption"}]}'
        ) from None
    return captions + [caption_of(names[number], "") for number in sorted(without, key=str)]


def read_splits(path: Path) -> list[Caption]:
    """Return the captions and splits of Karpathy's JSON; UserError for other JSON.

    `restval`, the part of COCO's validation photos that everybody trains on, is train.
    """
    found = parsed_json(path)
    captions = []
    try:
        for each in found["images"]:
            split = split_named(text_in(each, "split"), path)
            texts = [text_in(sentence, "raw") for sentence in each["sentences"]]
            name = text_in(each, "filename")
            captions += [caption_of(name, text, split) for text in texts or [""]]
    except (KeyError, TypeError) as error:
        raise UserError(
            f"{path} has not what Karpathy's splits have ({type(error).__name__}: {error}); "
            'expected {"images": [{"filename", "split", "sentences": [{"raw"}]}]}'
        ) from None
    return captions


def split_named(name: str, path: Path) -> Split:
    """Return which split a name means; UserError if none."""
    names: dict[str, Split] = {"restval": "train", **{n: "train" for n in NAMES["train"]}}
    names |= {n: "val" for n in NAMES["val"]}
    names |= {n: "test" for n in NAMES["test"]}
    if name.lower() not in names:
        raise UserError(f"{path} has the split {name!r}; expected train, restval, val or test")
    return names[name.lower()]


Reader = Callable[[Path], list[Caption]]
# By name, in the order in which one is preferred to the next: splits that are written down first.
READERS: tuple[tuple[str, Reader], ...] = (
    (r"dataset_?\w*\.json", read_splits),
    (r"captions_\w+\.json", read_coco),
    (r".*(?<!lemma)\.token(\.txt)?", read_token),
    (r"results\.csv", read_bars),
    (r"captions\.(txt|csv)", read_csv),
)
"""A name that matches, and who reads such files. Flickr8k's lemmas are words in their base forms:
no captions."""
