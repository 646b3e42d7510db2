"""Questions about pictures for `arcadia predict`: given with the command, piped in, or typed.

Every question is asked of every picture. What is no file is a question; without any, they are the
lines of standard input, and on a terminal a conversation.
"""

import os
import re
from collections.abc import Iterator, Sequence

from backbones.training.errors import UserError
from tasks import lines
from tasks.data.formats.text import decoded_line
from tasks.task import Task

PICTURE_NAME = re.compile(r"\S+\.(png|jpe?g|gif|bmp|webp|tiff?)", re.I)


def parted(inputs: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return which inputs are files and which are questions; UserError without a file, or for the
    name of a picture that is not there."""
    files = [given for given in inputs if given == "-" or os.path.lexists(given)]
    questions = [given for given in inputs if given not in files]
    for given in questions:
        if PICTURE_NAME.fullmatch(given):
            raise UserError(f"{given} does not exist; give pictures, and questions about them")
    if not files:
        raise UserError("there is no picture to ask about; give its file before the question")
    if "-" in files and not questions:
        raise UserError("standard input is the picture; give a question, too")
    return files, questions


def piped(task: Task[object]) -> Iterator[str | UserError]:
    """Yield the lines of standard input as questions; what is none as its error. Blank lines of a
    terminal are passed over."""
    typed = lines.on_terminal()
    for where, line in lines.numbered(["-"], task):
        try:
            question = decoded_line(line, where)
        except UserError as error:
            yield error
            continue
        if question.strip() or not typed:
            yield question
