"""A local upstream that streams the same twenty words to everybody; prints its port."""

import asyncio
import json
import sys

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
USAGE = {"prompt_tokens": 9, "completion_tokens": 20, "total_tokens": 29}


def event(**body: object) -> bytes:
    head = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + json.dumps({**head, **body}).encode() + b"\n\n"


def choice(delta: object, finish: str | None = None) -> list[dict[str, object]]:
    return [{"index": 0, "delta": delta, "finish_reason": finish}]


EVENTS = [
    *(event(choices=choice({"content": f"word{n} "})) for n in range(20)),
    event(choices=choice({}, "stop")),
    event(choices=[], usage=USAGE),
    b"data: [DONE]\n\n",
]


def length(head: bytes) -> int:
    lines = head.lower().split(b"\r\n")
    found = [int(line.split(b":")[1]) for line in lines if line.startswith(b"content-length:")]
    return found[0] if found else 0


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            await reader.readexactly(length(await reader.readuntil(b"\r\n\r\n")))
            writer.write(HEAD)
            for data in EVENTS:
                writer.write(b"%x\r\n%s\r\n" % (len(data), data))
            writer.write(b"0\r\n\r\n")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
