"""MCP tools that refuse unknown arguments, carry short schemas and say errors in our own words."""

import logging
from collections.abc import Awaitable, Callable
from inspect import cleandoc
from typing import Any, cast

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import ValidationError

logger = logging.getLogger(__name__)

FAULT = (
    "Roundhouse met a fault of its own, which its standard error tells; trying again may help."
    "\ncode: internal\nretryable: true"
)


def lean(schema: Any) -> Any:
    """The schema without pydantic's titles, null defaults and open-ended marks: a third of the
    bytes every agent pays for in every session, none of the meaning."""
    if isinstance(schema, list):
        return [lean(item) for item in cast("list[Any]", schema)]
    if not isinstance(schema, dict):
        return schema
    said = cast("dict[str, Any]", schema)
    return {
        key: {name: lean(inner) for name, inner in value.items()}
        if key == "properties"
        else lean(value)
        for key, value in said.items()
        if not noise(key, value)
    }


def noise(key: str, value: Any) -> bool:
    return (key == "title" and isinstance(value, str)) or (key, value) in (
        ("default", None),
        ("additionalProperties", True),
    )


def complaint(tool: str, error: ValidationError) -> str:
    """The first wrong argument and what is wrong with it."""
    problem = error.errors(include_url=False, include_input=False)[0]
    name, *inner = problem["loc"]
    where = ".".join(map(str, (name, *(part for part in inner if isinstance(part, int)))))
    if problem["type"] == "missing":
        return f"{tool} needs the argument {where!r}"
    return f"{where}: {problem['msg']}"


class StrictTool(Tool):
    """A tool whose mistakes reach the caller without the SDK's prefix, as our own text. Unknown
    arguments are refused here, by name: telling the model to forbid them would build every schema
    twice, which an editor waits for."""

    @classmethod
    def made(
        cls,
        function: Callable[..., Awaitable[CallToolResult]],
        output: dict[str, Any],
        *,
        annotations: ToolAnnotations,
        meta: dict[str, Any] | None = None,
    ) -> "StrictTool":
        """The tool of a function, with the schema of its structured results."""
        tool = cls.from_function(function, annotations=annotations, meta=meta)
        tool.description = cleandoc(tool.description)
        tool.parameters = lean(tool.parameters) | {"additionalProperties": False}
        tool.fn_metadata.output_schema = output
        assert isinstance(tool, StrictTool)
        return tool

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:
        unknown = next(iter(arguments.keys() - self.parameters["properties"].keys()), None)
        if unknown is not None:
            raise self.refusal(f"{self.name} has no argument {unknown[:80]!r}")
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, ValidationError):
                raise self.refusal(complaint(self.name, cause)) from cause
            if type(cause) is ToolError:
                raise ToolError(str(cause)) from cause
            logger.error("%s failed: %s", self.name, type(cause).__name__, exc_info=cause)
            raise ToolError(FAULT) from cause

    def refusal(self, what: str) -> ToolError:
        """One sentence on what is wrong, naming the arguments there are."""
        names = ", ".join(self.parameters["properties"])
        return ToolError(
            f"{what}. Arguments of {self.name}: {names}.\n"
            "code: bad_request\nretryable: false\nNothing was sent, no cost."
        )
