"""What is private stays on this machine: over random configurations, wishes and failures, seen at
the socket. Every seed is a server of its own with a few calls; a failure names its seed."""

import json
import random
import socket
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from seats import Seat, seated, served, text_of
from sockets import watched
from upstream import Request, Send, answer, head, silence, spoken, upstream

WORLDS = 10  # servers per test
CALLS = 6
CLOUD = "192.0.2.10"
SERVICES = ("OPENAI", "ANTHROPIC", "GEMINI", "COHERE", "AWAY")
KEYS = {f"{service}_API_KEY": "sk-canary-0123456789" for service in SERVICES}
AWAY = (  # addresses of other machines, some of which look like this one
    f"https://{CLOUD}/v1",
    f"http://{CLOUD}:8080/v1",
    "https://models.example/v1",
    "https://localhost.example/v1",
    "https://127.0.0.1.example/v1",
    "https://[2001:db8::7]/v1",
    "https://[::ffff:192.0.2.10]/v1",
    "https://2130706433/v1",
    "https://0.0.0.0:9/v1",
)
FAULTS = ("good", "good", "moved", "broken", "busy", "cut", "hang", "gone")
STRATEGIES = (
    *("priority", "round_robin", "random", "cheapest", "fastest", "best", "local_first"),
    *("cloud_first", "balanced", "least_busy"),
)
HINTS = ("local_preferred", "cloud_preferred", "best_quality", "cheapest", "fastest")


async def serve(request: Request, send: Send) -> None:
    """A local program whose manners are in the path."""
    manner = request.path.split("/")[1]
    if request.method == "GET":
        models = ["qwen3:8b", "gpt-oss:120b-cloud", "nomic-embed-text"]
        named = [{"name": model, "model": model, "id": model} for model in models]
        await answer(json.dumps({"models": named, "data": named}))(request, send)
    elif manner == "moved":
        headers = {"location": f"http://{CLOUD}/v1/chat/completions", "content-length": "0"}
        await send(head(307, headers))
    elif manner == "broken":
        await answer('{"error": {"message": "scripted"}}', status=500)(request, send)
    elif manner == "busy":
        await answer("{}", status=429, retry_after="60")(request, send)
    elif manner == "cut":
        await send(head(200, {"content-type": "text/event-stream"}))
    elif manner == "hang":
        await silence(request, send)
    elif "embed" in request.path:
        texts = request.json["input"]
        vectors = [{"index": n, "embedding": [0.5, 0.5]} for n in range(len(texts))]
        await answer(json.dumps({"data": vectors, "usage": {"prompt_tokens": 1}}))(request, send)
    else:
        await spoken("all ", "well")(request, send)


class World:
    """A configuration and wishes for it, drawn from one seed."""

    def __init__(self, seed: int, url: str) -> None:
        self.draw = random.Random(seed)
        self.base = url.removesuffix("/v1")
        self.names: list[str] = []
        self.all_private = self.draw.random() < 0.2

    def some(self, *choices: str) -> str:
        return self.draw.choice(choices)

    def config(self) -> Sequence[str]:
        parts = [self.here() for _ in range(self.draw.randint(1, 3))]
        parts += [self.away() for _ in range(self.draw.randint(1, 4))]
        parts += [self.ollama() for _ in range(self.draw.randint(0, 1))]
        self.draw.shuffle(parts)
        network = f'proxy = "http://{CLOUD}:3128"' if self.draw.random() < 0.4 else ""
        aways = json.dumps([f"{name}/m" for name in self.names if name.startswith("away")])
        own = self.some(
            "",
            f"[routing.tasks.private]\nmodels = {aways}\n",
            f"[routing.tasks.private]\nmodels = {aways}\nonly = true\n",
            f"[routing.tasks.private-data]\nmodels = {aways}\n",
        )
        chain = json.dumps(self.draw.sample(self.names, len(self.names)))
        strict = 'privacy = "local"\n' if self.all_private else ""
        return (
            f'[routing]\nchain = {chain}\nstrategy = "{self.some(*STRATEGIES)}"\n{strict}',
            own,
            '[routing.tasks.hidden]\nprivacy = "local"\n',
            f"[network]\n{network}\n[retries]\nbase_delay_ms = 0\n",
            *parts,
        )

    def row(self, kind: str, url: str, more: str) -> str:
        name = f"{kind}-{len(self.names)}"
        self.names.append(name)
        return f'[providers.{name}]\nwire = "openai_chat"\nbase_url = "{url}"\n{more}'

    def here(self) -> str:
        local = self.some("", "local = true\n", "local = false\n")
        models = self.some('models = ["m"]\n', 'models = ["m"]\n', "")
        host = self.some(self.base, self.base, self.base.replace("127.0.0.1", "localhost"))
        more = f'{local}{models}embedding_model = "e"\ntimeout_s = 0.1\n'
        return self.row("here", f"{host}/{self.some(*FAULTS)}/v1", more)

    def away(self) -> str:
        url = self.some(*AWAY)
        local = "local = true\n" if url.startswith("http:") else self.some("", "local = true\n")
        models = self.some('models = ["m"]\n', "")
        key = self.some("", 'key_env = "AWAY_API_KEY"\n')
        return self.row("away", url, f'{local}{models}{key}embedding_model = "e"\n')

    def ollama(self) -> str:
        """A program on this machine that passes models of one kind on to its maker's."""
        self.names.append("attic")
        models = self.some("", 'models = ["gpt-oss:120b-cloud", "qwen3:8b"]\n')
        url = self.some(f"{self.base}/good", f"https://{CLOUD}")
        return f'[providers.attic]\nlike = "ollama"\nbase_url = "{url}"\n{models}'

    def wish(self, *, private: bool) -> tuple[str, dict[str, Any]]:
        """A call, and what makes it private if it is to be."""
        arguments: dict[str, Any] = {"timeout_s": 2}
        if self.draw.random() < 0.5:
            named = f"{self.some(*self.names)}/m"
            arguments["model"] = self.some(named, "openai", "attic/gpt-oss:120b-cloud", "m")
        elif self.draw.random() < 0.2:
            arguments["provider"] = self.some(*self.names)
        if private and not self.all_private:
            arguments |= self.secrecy()
        tool = self.some("complete", "complete", "complete", "embed", "route_for_task")
        if tool == "embed":
            return tool, {**arguments, "texts": ["a secret", "another"]}
        if self.draw.random() < 0.5:
            arguments["strategy"] = self.some(*STRATEGIES)
        elif self.draw.random() < 0.5:
            arguments["prefer"] = self.some(*HINTS)
        if tool == "route_for_task":
            del arguments["timeout_s"]
        return tool, {**arguments, "prompt": "a secret"}

    def secrecy(self) -> dict[str, str]:
        by_task = {"task": self.some("private", "private-data", "hidden")}
        return self.draw.choice(
            ({"privacy": "local"}, by_task, {"model": "local"}, {**by_task, "privacy": "local"})
        )


async def played(seat: Seat, world: World, *, private: bool) -> Counter[str]:
    """What became of the calls: `answered`, or the codes of their refusals."""
    ends = Counter[str]()
    for _ in range(CALLS):
        tool, arguments = world.wish(private=private)
        result = await seat.call(tool, **arguments)
        code = text_of(result).partition("code: ")[2].split()
        assert code or not result.is_error, (tool, arguments, text_of(result))
        ends[code[0] if result.is_error else "answered"] += 1
    return ends


@pytest.fixture
def resolver(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What names resolve to besides what they really do."""
    real, others = socket.getaddrinfo, dict[str, str]()

    def resolve(host: Any, *arguments: Any, **more: Any) -> list[Any]:
        found: list[Any] = real(host, *arguments, **more)
        name = host.decode() if isinstance(host, bytes) else host
        if name in others:
            found += [(*each[:4], (others[name], each[4][1])) for each in found]
        return found

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return others


@pytest.mark.parametrize("first", range(0, 60, WORLDS))
async def test_what_is_private_reaches_no_other_machine(
    first: int, tmp_path: Path, resolver: dict[str, str]
) -> None:
    ends = Counter[str]()
    async with upstream(serve, gets=True) as server:
        for seed in range(first, first + WORLDS):
            world = World(seed, server.url)
            resolver.update({"localhost": CLOUD} if seed % 3 == 0 else {})
            with watched() as seen:
                async with seated(tmp_path / str(seed), *world.config(), environ=KEYS) as seat:
                    ends += await played(seat, world, private=True)
            resolver.clear()
            assert (seed, seen.foreign) == (seed, [])

    assert ends["answered"] >= WORLDS * CALLS / 5, ends


async def test_the_same_calls_would_leave_the_machine_if_they_were_not_private(
    tmp_path: Path,
) -> None:
    left: list[str] = []
    async with upstream(serve, gets=True) as server:
        for seed in range(5):
            world = World(seed, server.url)
            world.all_private = False
            with watched() as seen:
                async with seated(tmp_path / str(seed), *world.config(), environ=KEYS) as seat:
                    await played(seat, world, private=False)
            left += seen.foreign

    assert {what.split()[0] for what in left} == {"socket.connect", "socket.getaddrinfo"}


async def test_a_private_call_does_not_even_ask_which_models_a_program_elsewhere_has(
    tmp_path: Path,
) -> None:
    elsewhere = (
        '[providers.box]\nwire = "openai_chat"\nbase_url = "https://models.example/v1"\n'
        "local = true\n"
    )
    async with upstream(serve, gets=True) as server:
        here = served("desk", server.url, more="local = true")
        async with seated(tmp_path, here, elsewhere) as seat:
            with watched() as private:
                said = await seat.said("complete", prompt="Hi", privacy="local")
            with watched() as plain:
                await seat.said("complete", prompt="Hi")

    assert said["provider"] == "desk"
    assert private.foreign == []
    assert plain.foreign == ["socket.getaddrinfo models.example"]
