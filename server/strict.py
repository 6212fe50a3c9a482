"""MCP tools that refuse unknown arguments, carry short schemas and say errors in our own words."""

from collections.abc import Mapping
from typing import Any, cast

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from pydantic import ValidationError


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


def complaint(error: ValidationError, known: Mapping[str, Any], tool: str) -> str:
    """One sentence on the first wrong argument, naming the ones there are."""
    problem = error.errors(include_url=False, include_input=False)[0]
    name, *inner = problem["loc"]
    where = ".".join(map(str, (name, *(part for part in inner if isinstance(part, int)))))
    names = ", ".join(known)
    match problem["type"]:
        case "extra_forbidden":
            what = f"{tool} has no argument {where[:80]!r}"
        case "missing":
            what = f"{tool} needs the argument {where!r}"
        case _:
            what = f"{where}: {problem['msg']}"
    return f"{what}. Arguments of {tool}: {names}.\ncode: bad_request\nNothing was sent, no cost."


class StrictTool(Tool):
    """A tool whose mistakes reach the caller without the SDK's prefix, as our own text."""

    @classmethod
    def from_function(cls, *args: Any, **kwargs: Any) -> "StrictTool":
        tool = super().from_function(*args, **kwargs)
        model = tool.fn_metadata.arg_model
        model.model_config["extra"] = "forbid"
        model.model_rebuild(force=True)
        tool.parameters = lean(model.model_json_schema(by_alias=True))
        tool.fn_metadata.output_schema = lean(tool.fn_metadata.output_schema)
        assert isinstance(tool, StrictTool)
        return tool

    async def run(
        self, arguments: dict[str, Any], context: Context[Any, Any], convert_result: bool = False
    ) -> Any:
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            cause = error.__cause__
            if isinstance(cause, ValidationError):
                known = self.parameters.get("properties", {})
                raise ToolError(complaint(cause, known, self.name)) from cause
            if type(cause) is ToolError:
                raise ToolError(str(cause)) from cause
            raise
