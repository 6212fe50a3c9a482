"""What every agent sees of us, word for word, and what it costs them in bytes."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from mcp import Client

from roundhouse_mcp.server.home import Home
from roundhouse_mcp.server.serve import INSTRUCTIONS, build, lifetime

SNAPSHOT = Path(__file__).with_name("tools.json")
README = Path(__file__).parents[2] / "README.md"
MODEL_VISIBLE_BYTES = 7_000
LIST_BYTES = 9_500
INSTRUCTION_CHARS = 1_200


def compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@pytest.fixture
async def answer(tmp_path: Path) -> dict[str, Any]:
    """The whole result of tools/list, as it goes over the wire."""
    server, desk = build(Home(tmp_path), environ={})
    async with lifetime(desk), Client(server) as client:
        listed = await client.list_tools()
    return listed.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)


@pytest.fixture
def tools(answer: dict[str, Any]) -> list[dict[str, Any]]:
    return answer["tools"]


def visible(tools: list[dict[str, Any]]) -> int:
    return sum(
        len(compact([tool["name"], tool["description"], tool["inputSchema"]]).encode())
        for tool in tools
    )


async def test_the_tools_are_the_contract(tools: list[dict[str, Any]]) -> None:
    now = json.dumps(tools, ensure_ascii=False, indent=1) + "\n"
    if os.environ.get("UPDATE_CONTRACT"):
        SNAPSHOT.write_text(now, encoding="utf-8")

    assert now == SNAPSHOT.read_text(encoding="utf-8"), "UPDATE_CONTRACT=1 accepts the change"


async def test_the_tools_are_short_enough_to_be_paid_for_in_every_session(
    answer: dict[str, Any], tools: list[dict[str, Any]]
) -> None:
    assert visible(tools) < MODEL_VISIBLE_BYTES
    assert len(compact(answer).encode()) < LIST_BYTES
    assert len(INSTRUCTIONS) <= INSTRUCTION_CHARS


async def test_the_readme_states_the_sizes_as_they_are(
    answer: dict[str, Any], tools: list[dict[str, Any]]
) -> None:
    text = README.read_text(encoding="utf-8")
    stated = [
        int(re.sub(r"\D", "", found))
        for found in re.findall(r"<!-- (?:sizes|list) -->([\d,]+)<", text)
    ]

    assert stated == [visible(tools), len(compact(answer).encode())]


async def test_every_argument_is_described_or_plain(tools: list[dict[str, Any]]) -> None:
    for tool in tools:
        assert len(tool["description"]) < 4_096
        for name, schema in tool["inputSchema"]["properties"].items():
            assert re.fullmatch(r"[a-z_]+", name)
            assert "anyOf" not in schema, f"{tool['name']}.{name} costs tokens for nothing"


async def test_annotations_are_truthful(tools: list[dict[str, Any]]) -> None:
    hints = {tool["name"]: tool["annotations"] for tool in tools}

    assert [name for name, hint in hints.items() if hint["readOnlyHint"]] == [
        "route_for_task",
        "provider_health",
        "cost_report",
    ]
    assert [name for name, hint in hints.items() if hint["openWorldHint"]] == ["complete", "embed"]
    assert hints["unload_model"]["idempotentHint"] is True


async def test_no_argument_can_carry_an_address_a_key_or_a_setting(
    tools: list[dict[str, Any]],
) -> None:
    names = {name for tool in tools for name in tool["inputSchema"]["properties"]}

    names.remove("idempotency_key")  # the caller's own mark, sent nowhere
    assert not {n for n in names if re.search(r"url|key|header|token$|config|base", n)}
