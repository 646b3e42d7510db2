"""onnxruntime-web, which runs networks in a browser: fetched by its checksum, never committed.

https://www.npmjs.com/package/onnxruntime-web, MIT licence, whose text is web/static/LICENSE.txt:
the package comes without one. Its .wasm is 14 MB. It lies beside public sets, in
`$ARCADIA_DATA/onnxruntime-web` or `data/onnxruntime-web`.
"""

import hashlib
import tarfile
from pathlib import Path, PurePosixPath

from backbones.training.errors import UserError
from backbones.training.files import make_folder, read_bounded, write_atomically
from tasks.data.download import data_home, fetch

VERSION = "1.30.0"
BASE = "https://registry.npmjs.org/onnxruntime-web/-/"
PACKAGE = f"onnxruntime-web-{VERSION}.tgz"
PACKAGE_SHA256 = "d2228df7e4616bc3348bf504ee888f3bec43789a273f0a63f3e68d203ce3bf71"
MOST_BYTES = 2**25  # of a file
SIMD = "ort-wasm-simd-threaded"
# What a page needs of it, with one thread and no special headers.
FILES = {
    "ort.wasm.min.js": "faece07e84faa9001f5104bbe4e5c70861d06cb2376a0dea1fa0ad33a67adc81",
    f"{SIMD}.mjs": "e13f7f94fc51b4ca72b12faeb1ee95f4ace6dfbc8939bc718aabdc0a27c4299b",
    f"{SIMD}.wasm": "3398c10d07d229bd91b364548e130e0e51a8e5704b88c7c083ebbeb78842dee2",
}


def data_folder() -> Path:
    """Return where the package lies, or will."""
    return data_home() / "onnxruntime-web"


def runtime_files(given: Path | None) -> dict[str, bytes]:
    """Return the runtime's files by name: of a folder that is given, else of the data folder, where
    they are fetched to if they are not there. UserError if they cannot be had."""
    folder = given or data_folder()
    if given is None and not all((folder / name).exists() for name in FILES):
        fetch_runtime(folder)
    found = dict[str, bytes]()
    for name, digest in FILES.items():
        try:
            # The package's own folder is as good as its `dist`.
            place = folder if (folder / name).exists() else folder / "dist"
            found[name] = read_bounded(place / name, MOST_BYTES)
        except OSError:
            raise UserError(
                f"{folder} has no {name}; give the folder `dist` of onnxruntime-web {VERSION}: "
                f"{BASE}{PACKAGE}"
            ) from None
        if hashlib.sha256(found[name]).hexdigest() != digest:
            raise UserError(
                f"{place / name} is not that of onnxruntime-web {VERSION} (SHA-256 differs); "
                "remove it, or give another --onnxruntime"
            )
    return found


def fetch_runtime(folder: Path) -> None:
    """Fetch the package into a folder and unpack what is needed of it; UserError if that fails."""
    try:
        make_folder(folder)
    except OSError as error:
        raise UserError(
            f"{folder} cannot be made ({error.strerror}); set ARCADIA_DATA to a folder that takes "
            "writing, or give --onnxruntime DIR"
        ) from None
    fetch((BASE,), PACKAGE, f"sha256:{PACKAGE_SHA256}", folder)
    with tarfile.open(folder / PACKAGE) as tar:
        for member in tar:
            name = PurePosixPath(member.name).name
            content = tar.extractfile(member) if name in FILES and member.isfile() else None
            if content is not None:
                write_atomically(folder / name, content.read(MOST_BYTES))
    (folder / PACKAGE).unlink()
