"""Ten thousand idle connections at `roundhouse serve --http`: what do calls of a client that has a
token take meanwhile, and what does the server hold?

    uv run python bench/crowd.py [CONNECTIONS]

A quarter of them say nothing, a quarter half a head, a quarter a wrong token, and a quarter ask
with the right token and read nothing. The crowd, the server and the client that calls are processes
of their own, on loopback. A closed connection is opened anew as long as the calls go on. The calls
come in two ways: each on a new connection, as programs make them, and all on one, as agents do.
"""

import asyncio
import contextlib
import json
import os
import resource
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

CALLS = 200
REVISION = "2026-07-28"
HALF = b"POST /mcp HTTP/1.1\r\nhost: localhost\r\nx: "


def request(token: str, method: str, **params: object) -> bytes:
    meta: dict[str, object] = {
        "io.modelcontextprotocol/protocolVersion": REVISION,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
    ).encode()
    name = f"mcp-name: {params['name']}\r\n" if "name" in params else ""
    head = (
        "POST /mcp HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        f"authorization: Bearer {token}\r\nmcp-protocol-version: {REVISION}\r\n"
        f"mcp-method: {method}\r\n{name}accept: application/json, text/event-stream\r\n"
        f"content-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


@dataclass(slots=True)
class Crowd:
    """Connections that are held, and how often one was opened or closed on us."""

    port: int
    openings: list[bytes]
    held: set[asyncio.StreamWriter] = field(default_factory=set[asyncio.StreamWriter])
    opened: int = 0
    closed: int = 0

    async def hold(self, number: int) -> None:
        """Keeps one connection open, and opens it anew when it is closed."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except OSError:
                await asyncio.sleep(0.2)
                continue
            self.opened += 1
            self.held.add(writer)
            with contextlib.suppress(OSError):
                writer.write(self.openings[number % len(self.openings)])
                if number % len(self.openings) == len(self.openings) - 1:
                    await reader.read(1)
                    await asyncio.sleep(3600)
                while await reader.read(65536):
                    pass
            self.closed += 1
            self.held.discard(writer)
            writer.close()
            await asyncio.sleep(1.0)


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: bytes
) -> None:
    writer.write(asked)
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200"), head
    length = head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0]
    await reader.readexactly(int(length))


async def times(port: int, asked: bytes, *, anew: bool) -> tuple[list[float], int]:
    """Seconds each call took, and how many got no answer and were made again."""
    took: list[float] = []
    lost = 0
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    while len(took) < CALLS:
        begun = time.perf_counter()
        try:
            if anew or writer.is_closing():
                writer.close()
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
            await exchange(reader, writer, asked)
        except (OSError, asyncio.IncompleteReadError):
            lost += 1
            writer.close()
            continue
        took.append(time.perf_counter() - begun)
    writer.close()
    return took, lost


def held_by(pid: int) -> tuple[int, float]:
    """Open files and resident MiB of a process; Linux."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return len(os.listdir(f"/proc/{pid}/fd")), pages * os.sysconf("SC_PAGE_SIZE") / 2**20


async def tell(name: str, pid: int, port: int, asked: bytes) -> None:
    for anew in (True, False):
        took, lost = await times(port, asked, anew=anew)
        took.sort()
        files, memory = held_by(pid)
        way = "new connections" if anew else "one connection"
        print(  # noqa: T201
            f"{name}, {way}: {CALLS} calls, p50 {statistics.median(took) * 1e3:.1f} ms, "
            f"p99 {took[int(CALLS * 0.99)] * 1e3:.0f} ms, slowest {took[-1] * 1e3:.0f} ms, "
            f"{lost} made again; server: {files} files, {memory:.0f} MiB",
            flush=True,
        )


async def measure(pid: int, port: int, token: str, size: int) -> None:
    arguments = {"prompt": "Hi", "model": "mock/echo"}
    asked = request(token, "tools/call", name="complete", arguments=arguments)
    await tell("alone", pid, port, asked)
    crowd = await asyncio.create_subprocess_exec(
        *(sys.executable, __file__, str(size), str(port), token), stdout=asyncio.subprocess.PIPE
    )
    assert crowd.stdout is not None
    try:
        await tell("while they come", pid, port, asked)
        print((await crowd.stdout.readline()).decode().strip())  # noqa: T201
        await tell("among them", pid, port, asked)
    finally:
        crowd.terminate()
        print((await crowd.stdout.read()).decode().strip())  # noqa: T201
        await crowd.wait()


async def gather(size: int, port: int, token: str) -> None:
    """The crowd, until it is told to go."""
    openings = [b"", HALF, request("wrong", "tools/list"), request(token, "tools/list") * 20]
    crowd, begun, told = Crowd(port, openings), time.perf_counter(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    tasks = [asyncio.create_task(crowd.hold(number)) for number in range(size)]
    while crowd.opened < size and not told.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(told.wait(), 0.05)
    print(  # noqa: T201
        f"{crowd.opened} connected after {time.perf_counter() - begun:.1f} s", flush=True
    )
    await told.wait()
    print(f"opened {crowd.opened}, closed by the server {crowd.closed}", flush=True)  # noqa: T201
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def main(size: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environ = {"PATH": os.environ["PATH"], "HOME": folder, "ROUNDHOUSE_HOME": f"{folder}/home"}
        command = [sys.executable, "-m", "roundhouse_mcp.server"]
        made = subprocess.run(
            [*command, "token", "add", "bench"], env=environ, capture_output=True, text=True
        )
        serving = [*command, "serve", "--http", "--port", "0"]
        with subprocess.Popen(serving, env=environ, stderr=subprocess.PIPE, text=True) as running:
            assert running.stderr is not None
            line = running.stderr.readline()
            port = int(line.partition("/mcp")[0].rpartition(":")[2])
            try:
                asyncio.run(measure(running.pid, port, made.stdout.strip(), size))
            finally:
                running.terminate()
        print(f"exit {running.returncode}")  # noqa: T201


if __name__ == "__main__":
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if len(sys.argv) == 4:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        asyncio.run(gather(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
    else:
        main(int(sys.argv[1]) if len(sys.argv) > 1 else 10_000)
