"""Ollama, LM Studio and a llama-server router as their specifications and sources say: their lists,
their states, and their errors, on loopback sockets.

Nothing of the tests' own is in their answers; `asked` remembers every request.
"""

import json
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import anyio
from upstream import Request, Send, Upstream, answer, head, upstream

GIB = 1 << 30
Reply = tuple[int, Any]
NO_PATH: Reply = (404, "404 page not found")


async def say(send: Send, request: Request, reply: Reply) -> None:
    status, body = reply
    text = body if isinstance(body, str) else json.dumps(body)
    await answer(text, status=status)(request, send)


async def stream(send: Send, lines: list[dict[str, Any]], pause: anyio.Event | None) -> None:
    """Lines of JSON, with a pause before the last one."""
    await send(head(200, {"content-type": "application/x-ndjson"}))
    for n, line in enumerate(lines):
        if pause is not None and n == len(lines) - 1:
            await pause.wait()
        await send(json.dumps(line).encode() + b"\n")


@dataclass(slots=True)
class Ollama:
    """`here` are the bytes of each model on disk; `pulls` what can be downloaded. Models in `busy`
    are answering: they are dropped when that is done. `pause` is waited for before a download or an
    answer ends; `full`: its queue is; `breaks` is an error in the middle of an answer, `needs` the
    memory that it does not find."""

    here: dict[str, int]
    loaded: dict[str, float] = field(default_factory=dict[str, float])
    pulls: dict[str, int] = field(default_factory=dict[str, int])
    embeds_only: frozenset[str] = frozenset()
    busy: set[str] = field(default_factory=set[str])
    pause: anyio.Event | None = None
    full: bool = False
    breaks: str = ""
    needs: str = ""

    async def __call__(self, request: Request, send: Send) -> None:
        said = request.json if request.body else {}
        match request.path:
            case "/api/tags":
                rows = [self.row(name) for name in self.here]
                await say(send, request, (200, {"models": rows}))
            case "/api/ps":
                rows = [self.running(name) for name in self.loaded]
                await say(send, request, (200, {"models": rows}))
            case "/api/pull":
                await self.pull(said["model"], send)
            case "/api/generate" | "/api/embed" | "/api/chat":
                await self.work(request, said, send)
            case _:
                await say(send, request, NO_PATH)

    def row(self, name: str) -> dict[str, Any]:
        family = "nomic-bert" if name in self.embeds_only else "llama"
        details = {"family": family, "format": "gguf"}
        return {"name": name, "model": name, "size": self.here[name], "details": details}

    def running(self, name: str) -> dict[str, Any]:
        keep = self.loaded[name]
        wait = timedelta(days=106_000) if keep < 0 else timedelta(seconds=keep)
        expires = (datetime.now(UTC) + wait).isoformat().replace("+00:00", "123Z")
        size = {"size": self.here[name] + GIB // 4, "size_vram": 0, "context_length": 4096}
        return {**self.row(name), **size, "expires_at": expires}

    async def pull(self, name: str, send: Send) -> None:
        begun = [{"status": "pulling manifest"}]
        if name not in self.pulls:
            error = {"error": "pull model manifest: file does not exist"}
            return await stream(send, [*begun, error], None)
        size = self.pulls[name]
        part = {"status": "pulling 6a0746a1ec1a", "digest": "sha256:6a", "total": size}
        lines = [*begun, part, {**part, "completed": size // 2}, {"status": "success"}]
        await stream(send, lines, self.pause)
        self.here[name] = size
        return None

    async def work(self, request: Request, said: dict[str, Any], send: Send) -> None:
        name = next((n for n in (said["model"], f"{said['model']}:latest") if n in self.here), None)
        empty = not (said.get("messages") or said.get("prompt") or said.get("input"))
        if name is None:
            text = f"model '{said['model']}' not found"
            return await say(send, request, (404, {"error": text}))
        if self.full:
            text = "server busy, please try again.  maximum pending requests exceeded"
            return await say(send, request, (503, {"error": text}))
        if self.needs and not empty:
            text = f"model requires more system memory ({self.needs}) than is available (3.1 GiB)"
            return await say(send, request, (500, {"error": text}))
        if request.path == "/api/generate" and name in self.embeds_only:
            text = f'"{name}" does not support generate'
            return await say(send, request, (400, {"error": text}))
        keep = said.get("keep_alive", 300)
        if empty and keep == 0:
            if name not in self.busy:
                self.loaded.pop(name, None)
            done = {"model": name, "done": True, "done_reason": "unload"}
            return await say(send, request, (200, done))
        self.loaded[name] = keep
        lines = [{"model": name, "message": {"content": "So "}, "done": False}]
        if self.breaks:
            return await stream(send, [*lines, {"error": self.breaks}], None)
        counts = {"prompt_eval_count": 5, "eval_count": 2}
        lines.append({"model": name, "message": {"content": "far."}, "done": False})
        end = {"model": name, "message": {"content": ""}, "done": True, "done_reason": "stop"}
        return await stream(send, [*lines, {**end, **counts}], self.pause)


@dataclass(slots=True)
class LmStudio:
    """`here` are the bytes of each model by key; `instances` those that are loaded, by id. `old`:
    before 0.4.0, which answers a path it does not know with a status of success. `fails` is why it
    loads nothing; `token` what it lets in; `jit`: a call loads its model. What `vanishes` is gone
    when it is to be unloaded."""

    here: dict[str, int]
    instances: dict[str, str] = field(default_factory=dict[str, str])
    old: bool = False
    fails: str = ""
    token: str = ""
    stuck: bool = False
    vanishes: bool = False
    jit: bool = False

    async def __call__(self, request: Request, send: Send) -> None:
        await say(send, request, self.reply(request))

    def reply(self, request: Request) -> Reply:
        if self.token and request.headers.get("authorization") != f"Bearer {self.token}":
            text = "An LM Studio API token is required to make requests to this server"
            return 401, {"error": {"message": text, "code": "invalid_api_key"}}
        if self.old and request.path.startswith("/api/v1"):
            text = f"Unexpected endpoint or method. ({request.method} {request.path})"
            return 200, {"error": text}
        match request.path:
            case "/api/v1/models":
                return 200, {"models": [self.row(key) for key in self.here]}
            case "/v1/models":
                return 200, {"object": "list", "data": [{"id": key} for key in self.here]}
            case "/api/v1/models/load":
                return self.load(request.json)
            case "/api/v1/models/unload":
                return self.unload(request.json["instance_id"])
            case "/v1/chat/completions":
                return self.chat(request.json["model"])
            case _:
                return 404, {"error": "Not Found"}

    def row(self, key: str) -> dict[str, Any]:
        loaded = [
            {"id": each, "config": {"context_length": 8192, "flash_attention": True}}
            for each, of in self.instances.items()
            if of == key
        ]
        return {
            "type": "embedding" if "embed" in key else "llm",
            "key": key,
            "size_bytes": self.here[key],
            "loaded_instances": loaded,
            "max_context_length": 131_072,
        }

    def load(self, said: dict[str, Any]) -> Reply:
        key = said["model"]
        if key not in self.here:
            return 404, {"error": {"type": "model_not_found", "message": f"Model {key} not found"}}
        if self.fails:
            return 500, {"error": {"type": "model_load_failed", "message": self.fails}}
        taken = sum(of == key for of in self.instances.values())
        name = f"{key}:{taken + 1}" if taken else key
        self.instances[name] = key
        done = {"type": "llm", "instance_id": name, "load_time_seconds": 0.1, "status": "loaded"}
        return 200, done

    def unload(self, name: str) -> Reply:
        if self.vanishes:
            self.instances.pop(name, None)
        if name not in self.instances:
            text = f"No loaded instance with id {name}"
            return 404, {"error": {"type": "model_not_found", "message": text}}
        if self.stuck:
            return 400, {"error": {"type": "invalid_request", "message": "The model is in use"}}
        del self.instances[name]
        return 200, {"instance_id": name}

    def chat(self, model: str) -> Reply:
        if self.jit and model in self.here:
            self.instances.setdefault(model, model)
        if model not in {*self.instances, *self.instances.values()} and not self.old:
            text = "No models loaded. Please load a model in the developer page"
            return 400, {"error": {"message": text, "type": "invalid_request_error"}}
        message = {"role": "assistant", "content": "So far."}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return 200, {"model": model, "choices": [choice]}


@dataclass(slots=True)
class Router:
    """llama-server without a model of its own: loads and unloads in the background, which takes
    `steps` looks. `breaks` are the models it cannot load; what `vanishes` has ended when it is to
    be unloaded."""

    states: dict[str, str]
    steps: int = 2
    breaks: frozenset[str] = frozenset()
    args: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    under_way: dict[str, tuple[str, int]] = field(default_factory=dict[str, tuple[str, int]])
    exits: dict[str, int] = field(default_factory=dict[str, int])
    vanishes: bool = False

    async def __call__(self, request: Request, send: Send) -> None:
        await say(send, request, self.reply(request))

    def reply(self, request: Request) -> Reply:
        match request.path:
            case "/models" | "/v1/models":
                self.go_on()
                return 200, {"object": "list", "data": [self.row(name) for name in self.states]}
            case "/models/load":
                return self.order(request.json["model"], "unloaded", "loading", "loaded")
            case "/models/unload":
                return self.order(request.json["model"], "loaded", "loaded", "unloaded")
            case "/v1/chat/completions":
                message = {"role": "assistant", "content": "So far."}
                choice = {"index": 0, "message": message, "finish_reason": "stop"}
                return 200, {"model": request.json["model"], "choices": [choice]}
            case _:
                return 404, {"error": {"code": 404, "message": "File Not Found"}}

    def row(self, name: str) -> dict[str, Any]:
        args = self.args.get(name, ["llama-server", "--alias", name])
        status: dict[str, Any] = {"value": self.states[name], "args": args}
        if name in self.exits:
            status |= {"failed": True, "exit_code": self.exits[name]}
        return {"id": name, "object": "model", "owned_by": "llamacpp", "status": status}

    def order(self, name: str, needed: str, at_once: str, at_last: str) -> Reply:
        if name not in self.states:
            return 400, refusal("model is not found")
        if self.vanishes:
            self.states[name] = "unloaded"
        if self.states[name] != needed:
            return 400, refusal(f"model is {'not' if needed == 'loaded' else 'already'} running")
        self.states[name] = at_once
        self.under_way[name] = (at_last, self.steps)
        self.exits.pop(name, None)
        return 200, {"success": True}

    def go_on(self) -> None:
        for name, (at_last, steps) in list(self.under_way.items()):
            if steps:
                self.under_way[name] = (at_last, steps - 1)
                continue
            del self.under_way[name]
            if at_last == "loaded" and name in self.breaks:
                self.states[name], self.exits[name] = "unloaded", 1
            else:
                self.states[name] = at_last


def refusal(message: str) -> dict[str, Any]:
    return {"error": {"code": 400, "message": message, "type": "invalid_request_error"}}


@asynccontextmanager
async def running(
    program: Callable[[Request, Send], Awaitable[None]],
) -> AsyncGenerator[Upstream]:
    """The program on a loopback port; its `url` ends in `/v1`."""
    async with upstream(program, gets=True) as server:
        yield server


def configured(like: str, url: str, *more: str, name: str = "shed") -> str:
    """A provider at this address."""
    address = url.removesuffix("/v1") if like == "ollama" else url
    lines = (f'like = "{like}"', f'base_url = "{address}"', *more)
    return "\n".join((f"[providers.{name}]", *lines, ""))
