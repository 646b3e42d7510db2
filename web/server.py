"""What the page asks for, and the page itself: an ASGI application.

Whatever takes a while, and whatever loads torch, runs in threads. Mistakes go out as one line;
what nobody expected is said on standard error, and the browser hears only that it happened.
"""

import hashlib
import threading
import traceback
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import anyio
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from backbones.training.errors import UserError
from backbones.training.run import Run
from web.guard import Access, Guard
from web.listing import Listing

PAGE = Path(__file__).parent / "page"
MOST_UPLOAD = 64 * 2**20  # bytes
MOST_MESSAGE = 2_000  # characters of what a browser wishes
MOST_GAME = 2**20  # characters of a game of Go that it brings


class TooLarge(UserError):
    """More was uploaded than is taken."""


def build_app(access: Access) -> Starlette:
    """Return the application."""
    pages = Pages()
    routes = [
        Route("/", page),
        Route("/api/runs", pages.runs),
        Route("/api/runs/{name:path}/about", pages.about),
        Route("/api/runs/{name:path}/curves", pages.curves),
        Route("/api/runs/{name:path}/films/{film}", pages.film),
        Route("/api/try/{name:path}/card", pages.card),
        Route("/api/try/{name:path}/examples", pages.examples),
        Route("/api/try/{name:path}/answer", pages.answer, methods=["POST"]),
        Route("/api/media/{number}", pages.medium),
        Route("/api/go", pages.go_choices),
        WebSocketRoute("/api/go", pages.go),
        WebSocketRoute("/api/watch/{name:path}", pages.watch),
        WebSocketRoute("/api/play/{name:path}", pages.play),
        Mount("/page", StaticFiles(directory=PAGE)),
    ]
    return Starlette(
        routes=routes,
        middleware=[Middleware(Guard, access=access)],
        exception_handlers={UserError: mistaken, Exception: failed},
    )


async def page(request: Request) -> Response:
    """Return the page."""
    return FileResponse(PAGE / "index.html")


async def mistaken(request: Request, error: Exception) -> Response:
    """Return what is wrong with a request."""
    return JSONResponse({"error": str(error)}, 413 if isinstance(error, TooLarge) else 400)


async def failed(request: Request, error: Exception) -> Response:
    """Return that something failed; say what on standard error."""
    traceback.print_exception(error)
    return JSONResponse({"error": "this failed here; the command's terminal says why"}, 500)


class Pages:
    """Answers to what the page asks."""

    def __init__(self) -> None:
        self.listing = Listing()
        self.tried: Any = None

    async def runs(self, request: Request) -> Response:
        """All runs, a row each; nothing to who has them already, which is asked every 3 s."""
        answer = JSONResponse(await run_in_threadpool(self.listing.all_rows))
        tag = f'"{hashlib.sha256(bytes(answer.body)).hexdigest()[:32]}"'
        answer.headers["etag"] = tag
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers={"etag": tag})
        return answer

    async def about(self, request: Request) -> Response:
        """One run."""
        return JSONResponse(await run_in_threadpool(self.listing.about, named(request)))

    async def curves(self, request: Request) -> Response:
        """A run's curves."""
        return JSONResponse(await run_in_threadpool(self.listing.curves, named(request)))

    async def film(self, request: Request) -> Response:
        """A film of a run."""
        film = request.path_params["film"]
        return FileResponse(await run_in_threadpool(self.listing.film, named(request), film))

    async def card(self, request: Request) -> Response:
        """What a model takes and gives."""
        run = await run_in_threadpool(self.listing.find, named(request))
        return JSONResponse(await run_in_threadpool(lambda: self.trying().card(run)))

    async def examples(self, request: Request) -> Response:
        """Inputs to click on."""
        run = await run_in_threadpool(self.listing.find, named(request))
        return JSONResponse(await run_in_threadpool(lambda: self.trying().examples(run)))

    async def answer(self, request: Request) -> Response:
        """A model's answer to what was uploaded: a line as text/plain, else a file's bytes, with a
        question of the address if there is one."""
        run = await run_in_threadpool(self.listing.find, named(request))
        body = await uploaded(request)
        kind = request.headers.get("content-type", "").partition(";")[0]
        given: bytes | str | tuple[bytes, str] | None = body or None
        if kind == "text/plain":
            given = body.decode(errors="replace")
        elif body and (question := request.query_params.get("question")) is not None:
            given = body, question
        explain = request.query_params.get("explain") == "1"
        return JSONResponse(await run_in_threadpool(self.tried_on, run, given, explain))

    def tried_on(self, run: Run, given: Any, explain: bool) -> dict[str, Any]:
        """Return a model's answer."""
        return dict(self.trying().answer(run, given, explain))

    async def medium(self, request: Request) -> Response:
        """What a model answered with, once more."""
        kind, content = self.trying().kept(request.path_params["number"])
        return Response(content, media_type=kind)

    def trying(self) -> Any:
        """Return the models; torch is loaded when the first is asked for."""
        if self.tried is None:
            from web.trying import Trying

            self.tried = Trying()
        return self.tried

    async def go_choices(self, request: Request) -> Response:
        """What a new game of Go can be."""
        from web.boards import choices

        return JSONResponse(await run_in_threadpool(lambda: choices(self.go_engines())))

    def go_engines(self) -> list[dict[str, Any]]:
        """The engines, and the size of board that each knows; 0: all."""
        runs = [run for run in self.listing.runs().values() if run.job == "go"]
        known = [
            {"name": run.name, "engine": str(run.folder), "size": run.config["size"]}
            for run in runs
        ]
        return [
            {"name": name, "engine": name, "size": 0} for name in ("playouts", "random")
        ] + known

    async def go(self, socket: WebSocket) -> None:
        """A game of Go, until the browser goes."""
        await socket.accept()
        from web.boards import BoardGame

        engines = await run_in_threadpool(self.go_engines)
        game = BoardGame({each["name"]: each["engine"] for each in engines})
        try:
            while True:
                message = (await socket.receive_text())[:MOST_GAME]
                try:
                    await socket.send_json(await run_in_threadpool(game.ask, message))
                    while answer := await run_in_threadpool(game.go_on):
                        await socket.send_json(answer)
                except UserError as error:
                    await socket.send_json({"error": str(error)})
        except WebSocketDisconnect:
            return

    async def watch(self, socket: WebSocket) -> None:
        """An agent that plays, until the browser goes."""
        await self.game(socket, by_hand=False)

    async def play(self, socket: WebSocket) -> None:
        """The same game for the person, likewise."""
        await self.game(socket, by_hand=True)

    async def game(self, socket: WebSocket, by_hand: bool) -> None:
        """Games, until the browser goes."""
        await socket.accept()
        try:
            run = await run_in_threadpool(self.listing.find, socket.path_params["name"])
        except UserError as error:
            await socket.send_json({"error": str(error)})
            await socket.close()
            return
        from web.watching import Game

        game = Game(run, by_hand)
        threading.Thread(target=game.play, daemon=True).start()
        try:
            await together(sending(socket, game), wishing(socket, game))
        finally:
            game.wishes.closed.set()


def named(request: Request) -> str:
    return str(request.path_params["name"])


async def uploaded(request: Request) -> bytes:
    """Return a request's body; TooLarge before more than that was read."""
    parts, size = list[bytes](), 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_UPLOAD:
            raise TooLarge(f"more than {MOST_UPLOAD // 2**20} MiB; give a smaller file")
        parts.append(part)
    return b"".join(parts)


async def together(*works: Coroutine[Any, Any, None]) -> None:
    """Wait until the first of some works is done, and end the others."""
    async with anyio.create_task_group() as group:

        async def until_done(work: Coroutine[Any, Any, None]) -> None:
            await work
            group.cancel_scope.cancel()

        for work in works:
            group.start_soon(until_done, work)


async def sending(socket: WebSocket, game: Any) -> None:
    """Send what the thread that plays puts out."""
    try:
        while message := await game.outbox.get():
            text, picture = message
            await socket.send_text(text)
            if picture:
                await socket.send_bytes(picture)
        await socket.close()
    except (WebSocketDisconnect, RuntimeError):
        return  # The browser is gone.


async def wishing(socket: WebSocket, game: Any) -> None:
    """Hear what the person wishes; whoever sends something else is not listened to any more."""
    try:
        while True:
            game.wishes.take((await socket.receive_text())[:MOST_MESSAGE])
    except (WebSocketDisconnect, ValueError, KeyError, RuntimeError):
        return
