"""The command `arcadia board`: TensorBoard on the runs folder."""

import signal
import threading
from dataclasses import dataclass

from backbones.training.checks.address import bind, require_address
from backbones.training.run import runs_folder


@dataclass(frozen=True, kw_only=True)
class Config:
    """Open TensorBoard on the runs folder."""

    port: int = 6006
    """Port to serve on."""
    host: str = "127.0.0.1"
    """Address to serve on: this machine only, unless asked otherwise (0.0.0.0: all networks)."""

    def __post_init__(self) -> None:
        require_address(self.host, self.port)


def main(config: Config) -> int:
    """Serve until ctrl-C; UserError if the port is taken or the address is not ours."""
    bind(config.host, config.port).close()
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
