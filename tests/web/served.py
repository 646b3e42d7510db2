"""The page as the command serves it, in a thread of the tests."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from backbones.training.checks.address import bind
from web.guard import Access
from web.server import build_app


@contextmanager
def serving(port: int = 0) -> Iterator[int]:
    """Serve the page, on any free port unless one is given; give it."""
    with bind("127.0.0.1", port) as place:
        place.listen()
        running = uvicorn.Server(uvicorn.Config(build_app(Access()), log_level="critical"))
        thread = threading.Thread(target=running.run, args=([place],), daemon=True)
        thread.start()
        yield place.getsockname()[1]
        running.should_exit = True
        thread.join(20)
