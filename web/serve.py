"""The command `arcadia serve`: the local page."""

import sys
from dataclasses import dataclass
from importlib.util import find_spec

from backbones.training.checks.address import bind, require_address
from backbones.training.errors import UserError
from backbones.training.progress import say

PACKAGES = ("starlette", "uvicorn", "websockets")
SWITCH_S = 5e-4


@dataclass(frozen=True, kw_only=True)
class Config:
    """Open a page in the browser: runs and their curves, agents at play, models to try."""

    port: int = 8000
    """Port to serve on; 0: any free one."""
    host: str = "127.0.0.1"
    """Address to serve on: this machine only, unless asked otherwise (0.0.0.0: all networks). From
    another machine the page wants the token of the address that is printed."""

    def __post_init__(self) -> None:
        require_address(self.host, self.port, least=0)


def require_packages() -> None:
    """UserError, with what to install, if a package of the page is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise UserError(
            f"the page needs {', '.join(missing)}: `pip install {' '.join(PACKAGES)}`, or install "
            'Arcadia as `pip install -e ".[web]"`'
        )


def main(config: Config) -> int:
    """Serve until ctrl-C; UserError if a package is missing or the port is taken."""
    require_packages()
    import uvicorn

    from web.guard import LOOPBACK, Access
    from web.server import build_app

    with bind(config.host, config.port) as listening:
        listening.listen(2048)
        port = listening.getsockname()[1]
        access = Access() if config.host in LOOPBACK else Access.beyond(config.host)
        shown = f"[{config.host}]" if ":" in config.host else config.host
        address = f"http://{shown}:{port}/" + (f"?token={access.token}" if access.token else "")
        settings = uvicorn.Config(
            build_app(access),
            log_level="warning",
            ws_max_size=2**21,
            # On a busy machine it is this process that is late with its pings, not the browser.
            ws_ping_timeout=60,
            timeout_graceful_shutdown=1,
        )
        server = uvicorn.Server(settings)
        # Threads that play hold Python's lock for 5 ms at a time otherwise, and the loop waits.
        sys.setswitchinterval(SWITCH_S)
        say(f"the page is at {address}  (ctrl-C ends it)")
        if access.token:
            say("whoever has this address can watch and try all runs", sys.stderr)
        server.run(sockets=[listening])
    return 0
