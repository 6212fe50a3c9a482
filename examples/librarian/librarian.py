"""A small agent: it answers questions about a shelf of books, which its model looks up."""

import json
from collections.abc import Mapping
from typing import Any

from mcp import Client

LOOK_UP = {
    "name": "look_up",
    "description": "Find the shelf of a book.",
    "parameters": {
        "type": "object",
        "properties": {"title": {"type": "string"}},
        "required": ["title"],
    },
}
MOST_TURNS = 5


async def answer(question: str, shelves: Mapping[str, str], client: Client) -> str:
    """The model's answer, after as many look-ups as it wants. Raises RuntimeError with what
    Roundhouse says where there is none."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": question}]
    for _ in range(MOST_TURNS):
        arguments = {"messages": messages, "tools": [LOOK_UP], "task": "quick"}
        result = await client.call_tool("complete", arguments)
        said = result.structured_content
        if result.is_error or said is None:
            raise RuntimeError(str(result.content))
        if not said.get("tool_calls"):
            return said["text"]
        messages += looked_up(said["tool_calls"], shelves)
    raise RuntimeError(f"the model looked up more than {MOST_TURNS} books")


def looked_up(calls: list[dict[str, Any]], shelves: Mapping[str, str]) -> list[dict[str, Any]]:
    """The model's calls and their results, as the next messages of the conversation."""
    asked = [
        {
            "id": call["id"],
            "type": "function",
            "function": {"name": call["name"], "arguments": json.dumps(call["arguments"])},
        }
        for call in calls
    ]
    found = [
        {
            "role": "tool",
            "tool_call_id": call["id"],
            "content": shelves.get(call["arguments"]["title"], "not on any shelf"),
        }
        for call in calls
    ]
    return [{"role": "assistant", "content": "", "tool_calls": asked}, *found]
