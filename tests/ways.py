"""One call to one upstream, for tests of what happens on the way."""

from dataclasses import replace
from typing import Any

from roundhouse_mcp.providers.assemble import Assembler
from roundhouse_mcp.providers.catalog import Provider, shipped
from roundhouse_mcp.providers.http import Http, Limits
from roundhouse_mcp.providers.types import Call, Completion, Message

KEY = "sk-canary-0123456789"
CALL = Call(messages=(Message(role="user", text="Hi"),), max_tokens=16)
SLOW = Limits(first_byte_s=4.0, idle_s=4.0)


def at(url: str, **changes: Any) -> Provider:
    return replace(shipped()["openai"], base_url=url, **changes)


async def complete(
    row: Provider, *, limits: Limits = SLOW, http: Http | None = None, local_only: bool = False
) -> Completion:
    assembler = Assembler()
    async with http or Http() as way:
        stream = way.stream(row, KEY, CALL, model="gpt-x", limits=limits, local_only=local_only)
        async with stream as chunks:
            async for chunk in chunks:
                assembler.add(chunk)
    return assembler.completion(provider=row.name)
