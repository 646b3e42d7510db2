"""The command `arcadia board`: TensorBoard on the runs folder."""

import errno
import signal
import socket
import threading
from dataclasses import dataclass

from backbones.training.errors import UserError
from backbones.training.run import runs_folder

EVERYWHERE = ("0.0.0.0", "::")


@dataclass(frozen=True, kw_only=True)
class Config:
    """Open TensorBoard on the runs folder."""

    port: int = 6006
    """Port to serve on."""
    host: str = "127.0.0.1"
    """Address to serve on: this machine only, unless asked otherwise (0.0.0.0: all networks)."""

    def __post_init__(self) -> None:
        if not self.host.strip():
            raise ValueError(
                "host is empty, which would serve on all networks; give an address of this "
                "machine, such as 127.0.0.1, or 0.0.0.0 if all are meant"
            )
        if not 0 < self.port < 65536:
            raise ValueError(f"port = {self.port} must lie between 1 and 65535")


def main(config: Config) -> int:
    """Serve until ctrl-C; UserError if the port is taken or the address is not ours."""
    try:
        family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((config.host, config.port))
            bound = probe.getsockname()[0]
    except (UnicodeError, socket.gaierror):
        raise UserError(f"host {config.host!r} is no address; give one such as 127.0.0.1") from None
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(
                f"host {config.host!r} is not an address of this machine; give one that is, such "
                "as 127.0.0.1"
            ) from None
        raise UserError(
            f"port {config.port} on {config.host} cannot be used ({error.strerror}); "
            f"try --port {config.port % 65535 + 1}"
        ) from None
    # "0" and "0x0" are 0.0.0.0 as well.
    if bound in EVERYWHERE and config.host not in EVERYWHERE:
        raise UserError(
            f"host {config.host!r} would serve on all networks; give 127.0.0.1 for this machine "
            f"only, or {bound} if all are meant"
        )
    from tensorboard import program

    folder = runs_folder()
    folder.mkdir(parents=True, exist_ok=True)
    server = program.TensorBoard()
    # Curves of up to 5,000 points are shown whole; 0, documented as "all", shows none at all.
    server.configure(
        logdir=str(folder),
        host=config.host,
        port=config.port,
        reload_interval=5,
        samples_per_plugin={"scalars": 5000, "images": 10},
    )
    url = server.launch()
    print(f"TensorBoard on {folder}: {url}  (ctrl-C ends it)", flush=True)
    # Handlers of our own: a process started in the background ignores ctrl-C by default.
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    stop.wait()
    return 0
