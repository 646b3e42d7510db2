"""What a trained model says of files or lines: `arcadia predict`, `arcadia.load(run).predict`."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from backbones.training.checks.limits import shortened
from backbones.training.errors import UserError
from backbones.training.files import read_at_most, standard_input
from backbones.training.progress import say
from backbones.training.run import find_run
from backbones.training.streams import printable
from tasks import lines
from tasks.data.decode import LARGEST_BYTES
from tasks.evaluate import device_of
from tasks.predictor import Config, load_predictor


def sources(inputs: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield (name, path or bytes) of everything that the inputs mean; UserError if missing."""
    for given in inputs:
        path = Path(given)
        if given == "-":
            yield "standard input", read_at_most(standard_input(), LARGEST_BYTES + 1)
        elif os.path.isdir(path):
            inside = sorted(p for p in path.iterdir() if p.is_file())
            if not inside:
                raise UserError(f"{path} has no files in it")
            yield from ((str(p), p) for p in inside)
        elif os.path.exists(path):
            yield given, path
        else:
            raise UserError(
                f"{shortened(given)} does not exist; give files, folders or - for standard input"
            )


def main(config: Config) -> int:
    """The command `arcadia predict`: exit status 2 if any input could not be read."""
    predictor, failed = load_predictor(find_run(config.run), device_of(config)), False
    if predictor.task.reads == "lines":
        return lines.main(config, predictor)
    if config.output or config.attention:
        raise UserError("--output and --attention are for models of texts")
    if not config.inputs:
        raise UserError("predict needs something to look at: files, folders or -")
    for name, source in sources(config.inputs):
        try:
            answer, doubts = predictor.predict(source)[0], predictor.task.doubts(source)
        except UserError as error:
            say(f"arcadia: {name}: {error}", sys.stderr)
            failed = True
            continue
        if doubts:
            say(f"arcadia: {name}: {doubts}", sys.stderr)
        line = f"{name}: {answer['text']}"
        print(json.dumps({"input": name, **answer}) if config.json else printable(line), flush=True)
    return 2 if failed else 0
