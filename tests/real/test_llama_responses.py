"""The Responses wire before a real llama.cpp server, which reads its items strictly."""

from dataclasses import replace

import anyio
import pytest

from roundhouse_mcp.providers.assemble import Assembler
from roundhouse_mcp.providers.catalog import shipped
from roundhouse_mcp.providers.http import Http, Limits
from roundhouse_mcp.providers.types import Call, Completion, Message, Tool, ToolCall

from .llama import Llama

pytestmark = [pytest.mark.real, pytest.mark.anyio]

SYSTEM = Message(role="system", text="Be terse.")
ASK = Message(role="user", text="Hi")
SAID = Message(role="assistant", text="So.")
LOOK = Tool(name="look", parameters={"type": "object", "properties": {}})
CALLED = Message(role="assistant", tool_calls=(ToolCall(id="a", name="look", arguments={}),))
RESULT = Message(role="tool", tool_call_id="a", text="seen")
CALL = Call(messages=(SYSTEM, ASK), max_tokens=16)


async def answered(chat: Llama, call: Call) -> Completion:
    row = replace(shipped()["llamacpp"], wire="openai_responses", base_url=f"{chat.url}/v1")
    assembler = Assembler()
    with anyio.fail_after(20):
        async with (
            Http() as http,
            http.stream(row, None, call, model="tiny", limits=Limits()) as chunks,
        ):
            async for chunk in chunks:
                assembler.add(chunk)
    return assembler.completion(provider="llamacpp")


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(CALL, id="a question"),
        pytest.param(replace(CALL, messages=(SYSTEM, ASK, SAID, ASK)), id="a conversation"),
        pytest.param(
            replace(CALL, messages=(SYSTEM, ASK, CALLED, RESULT), tools=(LOOK,)),
            id="a tool conversation",
        ),
    ],
)
async def test_a_stream_has_its_text_its_usage_and_its_end(chat: Llama, call: Call) -> None:
    completion = await answered(chat, call)

    assert completion.text
    assert completion.model == "tiny"
    assert completion.usage.output == 16
    assert (completion.usage.input or 0) > 0
