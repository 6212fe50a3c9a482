"""`roundhouse call`: a tool called on the real server object, through a real MCP client."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any, cast

import anyio
import click
from mcp import Client
from mcp.types import CallToolResult, TextContent

from ..home import Home
from ..serve import build, lifetime

CLIENT = "command-line"


@click.command()
@click.argument("tool")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--json", "as_json", is_flag=True, help="Print the structured result.")
def command(tool: str, arguments: Sequence[str], *, as_json: bool) -> None:
    """Call TOOL with KEY=VALUE arguments. Values are JSON where they can be, else text.

    roundhouse call complete prompt="Say hello" max_tokens=50
    """
    result = called(tool, pairs(arguments))
    if result.is_error:
        click.echo(text_of(result), err=True)
        sys.exit(1)
    if as_json:
        click.echo(json.dumps(result.structured_content, indent=2, ensure_ascii=False))
    else:
        click.echo(text_of(result))


def called(tool: str, given: Mapping[str, str]) -> CallToolResult:
    """The tool's result, with text values read as its schema wants them. Raises ConfigError, and
    UsageError for a tool there is not."""
    result = anyio.run(ask, tool, given)
    if isinstance(result, CallToolResult):
        return result
    raise click.UsageError(f"there is no tool {tool[:40]!r}; there are {', '.join(result)}")


async def ask(tool: str, given: Mapping[str, str]) -> CallToolResult | list[str]:
    """The result, or the names of the tools there are."""
    server, desk = build(Home.find(os.environ), client=CLIENT)
    async with lifetime(desk), Client(server) as client:
        tools = {each.name: each for each in (await client.list_tools()).tools}
        if tool not in tools:
            return list(tools)
        schema = tools[tool].input_schema.get("properties", {})
        return await client.call_tool(tool, read(given, schema))


def pairs(arguments: Sequence[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals or not name:
            raise click.UsageError(f"{argument[:40]!r} is not of the form KEY=VALUE")
        found[name] = value
    return found


def read(given: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value_of(text, schema.get(name, {})) for name, text in given.items()}


def value_of(text: str, schema: Mapping[str, Any]) -> Any:
    """JSON, unless it is none or the argument takes text only: `prompt=42` is the text 42."""
    choices = cast("list[dict[str, Any]]", schema.get("anyOf", [schema]))
    if all(choice.get("type") == "string" or "enum" in choice for choice in choices):
        return text
    try:
        return json.loads(text)
    except ValueError:
        return text


def text_of(result: CallToolResult) -> str:
    return "\n".join(block.text for block in result.content if isinstance(block, TextContent))
