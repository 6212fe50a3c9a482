"""A service on a loopback port that speaks Chat Completions and Embeddings by script.

It runs on threads of its own, so that it works beside any event loop and for tests without one.
"""

import json
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from ..providers import mock
from .script import Asked, BreaksOff, CallsTool, Entry, Fails, Hangs, Says, Script

Name = tuple[str, str]  # provider, model
CLOSED = (BrokenPipeError, ConnectionResetError, ConnectionAbortedError)


class Upstream:
    """Every scripted provider, each at `url(provider)`. `asked` holds the requests in order."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.scripts: dict[Name, Script] = {}
        self.lock = threading.Lock()
        self.closing = threading.Event()
        self.open: set[socket.socket] = set()
        self.http = Service(("127.0.0.1", 0), Handler)
        self.http.upstream = self
        self.thread = threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True
        )
        self.thread.start()

    def url(self, provider: str) -> str:
        return f"http://127.0.0.1:{self.http.server_port}/{provider}/v1"

    def take(self, asked: Asked) -> Entry | None:
        """Notes a request; what its model does now."""
        with self.lock:
            self.asked.append(asked)
            script = self.scripts.get((asked.provider, asked.model))
            return script.next() if script else None

    def models(self, provider: str) -> list[str]:
        with self.lock:
            return [model for name, model in self.scripts if name == provider]

    def close(self) -> None:
        """Ends what still answers, and lets go of the port."""
        self.closing.set()
        with self.lock:
            for connection in self.open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        self.http.shutdown()
        self.thread.join()
        self.http.server_close()


class Service(ThreadingHTTPServer):
    daemon_threads = False  # closing waits for them
    upstream: Upstream


class Handler(BaseHTTPRequestHandler):
    """One request on one connection."""

    @property
    def upstream(self) -> Upstream:
        return cast("Service", self.server).upstream

    def setup(self) -> None:
        super().setup()
        with self.upstream.lock:
            self.upstream.open.add(self.connection)

    def finish(self) -> None:
        with self.upstream.lock:
            self.upstream.open.discard(self.connection)
        with suppress(*CLOSED):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the name it has there)
        """The test's output is not ours."""

    def do_GET(self) -> None:
        listed = [{"id": model} for model in self.upstream.models(self.provider)]
        self.whole(200, {"object": "list", "data": listed})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length", "0"))))
        asked = Asked(self.provider, str(body.get("model")), body)
        entry = self.upstream.take(asked)
        with suppress(*CLOSED):
            self.play(entry, asked)

    @property
    def provider(self) -> str:
        return self.path.split("/")[1]

    def play(self, entry: Entry | None, asked: Asked) -> None:
        if isinstance(entry, Hangs):
            self.connection.settimeout(None)
            self.connection.recv(1)  # returns when either side hangs up
            return
        if entry is not None:
            self.upstream.closing.wait(entry.delay_s)
        if isinstance(entry, Fails):
            self.fail(entry)
        elif self.path.endswith("/embeddings"):
            self.whole(200, mock.embeddings(asked.body))
        else:
            self.stream(entry or Says(f"You said: {asked.text}"), asked)

    def fail(self, entry: Fails) -> None:
        after = entry.retry_after_s
        headers = {} if after is None else {"retry-after": str(after)}
        error = {"message": entry.message, "type": "scripted_error", "code": None}
        self.whole(entry.status, {"error": error}, headers)

    def whole(self, status: int, body: Any, headers: Mapping[str, str] | None = None) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def stream(self, entry: Says | CallsTool | BreaksOff, asked: Asked) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.end_headers()
        for n, piece in enumerate(events(entry, asked)):
            if n and isinstance(entry, Says) and entry.pause_s:
                self.upstream.closing.wait(entry.pause_s)
            self.wfile.write(piece)
            self.wfile.flush()


def events(entry: Says | CallsTool | BreaksOff, asked: Asked) -> Iterator[bytes]:
    """The answer as the protocol has it, piece by piece."""
    model, finish, said = asked.model, "stop", ""
    if isinstance(entry, CallsTool):
        function = {"name": entry.name, "arguments": json.dumps(dict(entry.arguments))}
        call = {"index": 0, "id": "scripted_call", "type": "function", "function": function}
        yield mock.event(model, choices=mock.choice({"tool_calls": [call]}))
        finish, said = "tool_calls", function["arguments"]
    else:
        said = entry.text
        for word in mock.words(said):
            yield mock.event(model, choices=mock.choice({"content": word}))
    if isinstance(entry, BreaksOff):
        return
    yield mock.event(model, choices=mock.choice({}, finish))
    yield mock.event(model, choices=[], usage=usage(entry, asked, said)) + b"data: [DONE]\n\n"


def usage(entry: Says | CallsTool, asked: Asked, said: str) -> dict[str, int]:
    counted = mock.usage(json.dumps(asked.body.get("messages", "")), said)
    if isinstance(entry, Says):
        counted["prompt_tokens"] = entry.input_tokens or counted["prompt_tokens"]
        counted["completion_tokens"] = entry.output_tokens or counted["completion_tokens"]
    counted["total_tokens"] = counted["prompt_tokens"] + counted["completion_tokens"]
    return counted
