"""What the official conformance suite expects of a server under test, on our own server: our tools'
class, our middleware, our site. The names and texts are the suite's.
"""

import base64
import json
import struct
import zlib
from collections.abc import Sequence
from typing import Annotated, Any, Literal

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import Message, UserMessage
from mcp.server.streamable_http import EventCallback, EventMessage, EventStore
from mcp.shared.exceptions import MCPError
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    AudioContent,
    CallToolResult,
    ClientCapabilities,
    Completion,
    ContentBlock,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    EmbeddedResource,
    EmptyResult,
    ImageContent,
    InputRequiredResult,
    JSONRPCMessage,
    ListRootsRequest,
    MissingRequiredClientCapabilityErrorData,
    PromptReference,
    ResourceTemplateReference,
    SamplingCapability,
    SamplingMessage,
    SetLevelRequestParams,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    ToolAnnotations,
    UnsubscribeRequestParams,
)
from pydantic import BaseModel, Field

from roundhouse_mcp.server.strict import StrictTool


def chunk(kind: bytes, data: bytes) -> bytes:
    checked = kind + data
    return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))


PIXEL = b"\x89PNG\r\n\x1a\n" + b"".join(  # one red one
    [
        chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")),
        chunk(b"IEND", b""),
    ]
)
PNG = base64.b64encode(PIXEL).decode()
WAV = base64.b64encode(
    b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0\x40\x1f\0\0\x80\x3e\0\0\2\0\x10\0data\0\0\0\0"
).decode()
PICTURE = ImageContent(data=PNG, mime_type="image/png")
STEP_S = 0.05  # the suite wants time between notifications
CONTEXT = Context[Any, Any]
Answer = CallToolResult | InputRequiredResult


def said(*blocks: str | ContentBlock) -> CallToolResult:
    content = [TextContent(text=each) if isinstance(each, str) else each for each in blocks]
    return CallToolResult(content=content)


def resource(uri: str, kind: str, text: str) -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=kind, text=text))


def form(message: str, name: str, kind: str = "string") -> ElicitRequest:
    schema = {"type": "object", "properties": {name: {"type": kind}}, "required": [name]}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


def sampling(text: str, most: int) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(text=text))
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[message], max_tokens=most)
    )


def answered(ctx: CONTEXT, name: str) -> dict[str, Any] | None:
    """What the user filled in; None where it is missing or no answer to a form."""
    found = (ctx.input_responses or {}).get(name)
    if isinstance(found, ElicitResult) and found.action == "accept":
        return dict(found.content or {})
    return None


async def test_simple_text() -> CallToolResult:
    """Text."""
    return said("This is a simple text response for testing.")


async def test_image_content() -> CallToolResult:
    """A picture."""
    return said(PICTURE)


async def test_audio_content() -> CallToolResult:
    """A sound."""
    return said(AudioContent(data=WAV, mime_type="audio/wav"))


async def test_embedded_resource() -> CallToolResult:
    """A resource inside the result."""
    text = "This is an embedded resource content."
    return said(resource("test://embedded-resource", "text/plain", text))


async def test_multiple_content_types() -> CallToolResult:
    """One of each."""
    data = json.dumps({"test": "data", "value": 123})
    mixed = resource("test://mixed-content-resource", "application/json", data)
    return said("Multiple content types test:", PICTURE, mixed)


async def test_tool_with_logging(ctx: CONTEXT) -> CallToolResult:
    """Logs on its way."""
    for step in ("started", "completed"):
        await ctx.info(f"Tool execution {step}")  # pyright: ignore[reportDeprecated]
        await anyio.sleep(STEP_S)
        if step == "started":
            await ctx.info("Tool processing data")  # pyright: ignore[reportDeprecated]
            await anyio.sleep(STEP_S)
    return said("Tool with logging executed.")


async def test_logging_tool(ctx: CONTEXT) -> CallToolResult:
    """Logs once."""
    await ctx.info("Tool execution started")  # pyright: ignore[reportDeprecated]
    return said("logged")


async def test_tool_with_progress(ctx: CONTEXT) -> CallToolResult:
    """Tells how it comes along."""
    for step in (0, 50, 100):
        await ctx.report_progress(step, 100)
        await anyio.sleep(STEP_S)
    return said("Tool with progress executed.")


async def test_error_handling() -> CallToolResult:
    """Always fails."""
    raise ToolError("This tool intentionally returns an error for testing")


async def test_sampling(ctx: CONTEXT, prompt: str) -> CallToolResult:
    """Asks the client's model."""
    message = SamplingMessage(role="user", content=TextContent(text=prompt))
    answer = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]
        messages=[message], max_tokens=100
    )
    content = answer.content
    return said(f"LLM response: {content.text if isinstance(content, TextContent) else ''}")


class Contact(BaseModel):
    username: str = Field(description="User's response")
    email: str = Field(description="User's email address")


class Defaults(BaseModel):
    name: str = "John Doe"
    age: int = 30
    score: float = 95.5
    status: Literal["active", "inactive", "pending"] = "active"
    verified: bool = True


def titled(*values: str) -> list[Any]:
    return [{"const": value, "title": value.capitalize()} for value in values]


class Choices(BaseModel):
    untitledSingle: Literal["option1", "option2", "option3"]
    titledSingle: Annotated[
        str, Field(json_schema_extra={"oneOf": [*titled("value1", "value2", "value3")]})
    ]
    legacyEnum: Annotated[
        str,
        Field(json_schema_extra={"enum": ["opt1", "opt2"], "enumNames": ["Option 1", "Option 2"]}),
    ]
    untitledMulti: list[Literal["option1", "option2", "option3"]]
    titledMulti: Annotated[
        list[str], Field(json_schema_extra={"items": {"anyOf": [*titled("value1", "value2")]}})
    ]


async def elicited(ctx: CONTEXT, message: str, schema: type[BaseModel]) -> CallToolResult:
    answer = await ctx.elicit(message, schema)
    content = answer.data.model_dump_json() if answer.action == "accept" else "{}"
    return said(f"Elicitation completed: action={answer.action}, content={content}")


async def test_elicitation(ctx: CONTEXT, message: str) -> CallToolResult:
    """Asks the user."""
    return await elicited(ctx, message, Contact)


async def test_elicitation_sep1034_defaults(ctx: CONTEXT) -> CallToolResult:
    """Asks the user, with defaults."""
    return await elicited(ctx, "Please say who you are", Defaults)


async def test_elicitation_sep1330_enums(ctx: CONTEXT) -> CallToolResult:
    """Asks the user to choose."""
    return await elicited(ctx, "Please choose", Choices)


async def test_reconnection(ctx: CONTEXT) -> CallToolResult:
    """Closes its stream, so that the client has to come back for the answer."""
    await ctx.close_sse_stream()
    await anyio.sleep(4 * STEP_S)
    return said("Reconnection test completed")


async def test_missing_capability(ctx: CONTEXT) -> Answer:
    """Needs a client that samples."""
    can = ctx.client_capabilities
    if can is None or can.sampling is None:
        data = MissingRequiredClientCapabilityErrorData(
            required_capabilities=ClientCapabilities(sampling=SamplingCapability())
        )
        raise MCPError(
            code=MISSING_REQUIRED_CLIENT_CAPABILITY,
            message="This needs a client that samples",
            data=data.model_dump(by_alias=True, mode="json", exclude_none=True),
        )
    return InputRequiredResult(input_requests={"sample": sampling("Say something", 10)})


async def test_streaming_elicitation(ctx: CONTEXT) -> Answer:
    """Says how it comes along, then asks."""
    await ctx.report_progress(1, 2)
    return InputRequiredResult(input_requests={"user_name": form("What is your name?", "name")})


async def test_trigger_tool_change(ctx: CONTEXT) -> CallToolResult:
    """Says that the tools changed."""
    await ctx.notify_tools_changed()
    return said("changed")


async def test_trigger_prompt_change(ctx: CONTEXT) -> CallToolResult:
    """Says that the prompts changed."""
    await ctx.notify_prompts_changed()
    return said("changed")


async def test_input_required_result_elicitation(ctx: CONTEXT) -> Answer:
    """Asks for a name."""
    answer = answered(ctx, "user_name")
    if answer and isinstance(answer.get("name"), str):
        return said(f"Hello, {answer['name']}!")
    return InputRequiredResult(input_requests={"user_name": form("What is your name?", "name")})


async def test_input_required_result_sampling(ctx: CONTEXT) -> Answer:
    """Asks the client's model."""
    answer = (ctx.input_responses or {}).get("capital_question")
    if answer is not None:
        return said(f"The model said: {answer.model_dump_json()}")
    question = sampling("What is the capital of France?", 100)
    return InputRequiredResult(input_requests={"capital_question": question})


async def test_input_required_result_list_roots(ctx: CONTEXT) -> Answer:
    """Asks for the roots."""
    answer = (ctx.input_responses or {}).get("client_roots")
    if answer is not None:
        return said(f"The roots: {answer.model_dump_json()}")
    return InputRequiredResult(input_requests={"client_roots": ListRootsRequest()})


async def test_input_required_result_request_state(ctx: CONTEXT) -> Answer:
    """Asks, and wants its state back."""
    if answered(ctx, "confirm") is not None and ctx.request_state == "asked":
        return said("state-ok")
    question = form("Please confirm", "ok", "boolean")
    return InputRequiredResult(input_requests={"confirm": question}, request_state="asked")


async def test_input_required_result_tampered_state(ctx: CONTEXT) -> Answer:
    """Asks, and takes no other state back."""
    return await test_input_required_result_request_state(ctx)


async def test_input_required_result_multiple_inputs(ctx: CONTEXT) -> Answer:
    """Asks three things at once."""
    wanted = {
        "user_name": form("What is your name?", "name"),
        "greeting": sampling("Generate a greeting", 50),
        "client_roots": ListRootsRequest(),
    }
    if wanted.keys() <= (ctx.input_responses or {}).keys():
        return said("All three came.")
    return InputRequiredResult(input_requests={**wanted}, request_state="three")


async def test_input_required_result_multi_round(ctx: CONTEXT) -> Answer:
    """Asks twice."""
    if answered(ctx, "step2") is not None and ctx.request_state == "second":
        return said("Both came.")
    if answered(ctx, "step1") is not None and ctx.request_state == "first":
        question = form("Step 2: What is your favorite color?", "color")
        return InputRequiredResult(input_requests={"step2": question}, request_state="second")
    question = form("Step 1: What is your name?", "name")
    return InputRequiredResult(input_requests={"step1": question}, request_state="first")


async def test_input_required_result_capabilities(ctx: CONTEXT) -> Answer:
    """Asks only what the client can."""
    can = ctx.client_capabilities
    wanted: dict[str, Any] = {}
    if can is not None and can.sampling is not None:
        wanted["sample"] = sampling("Say something", 10)
    if can is not None and can.elicitation is not None:
        wanted["form"] = form("What is your name?", "name")
    return InputRequiredResult(input_requests=wanted)


async def test_headers(
    region: Annotated[str, Field(json_schema_extra={"x-mcp-header": "Region"})],
) -> CallToolResult:
    """Has an argument that is a header, too."""
    return said(region)


async def json_schema_2020_12_tool(
    name: str = "", address: dict[str, Any] | None = None
) -> CallToolResult:
    """Has a schema of many words."""
    return said("ok")


SCHEMA_2020_12: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "$defs": {
        "address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }
    },
    "properties": {
        "name": {"type": "string"},
        "address": {"$ref": "#/$defs/address"},
        "contactMethod": {"type": "string", "enum": ["phone", "email"]},
        "phone": {"type": "string"},
        "email": {"type": "string"},
    },
    "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
    "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
    "then": {"required": ["phone"]},
    "else": {"required": ["email"]},
    "additionalProperties": False,
}
TOOLS = (
    *(test_simple_text, test_image_content, test_audio_content, test_embedded_resource),
    *(test_multiple_content_types, test_tool_with_logging, test_logging_tool),
    *(test_tool_with_progress, test_error_handling, test_sampling, test_elicitation),
    *(test_elicitation_sep1034_defaults, test_elicitation_sep1330_enums, test_reconnection),
    *(test_missing_capability, test_streaming_elicitation, test_trigger_tool_change),
    *(test_trigger_prompt_change, test_input_required_result_elicitation),
    *(test_input_required_result_sampling, test_input_required_result_list_roots),
    *(test_input_required_result_request_state, test_input_required_result_tampered_state),
    *(test_input_required_result_multiple_inputs, test_input_required_result_multi_round),
    *(test_input_required_result_capabilities, test_headers, json_schema_2020_12_tool),
)


def tools() -> list[StrictTool]:
    """The fixtures as tools of our class, without structured results."""
    made = [
        StrictTool.from_function(each, annotations=ToolAnnotations(), structured_output=False)
        for each in TOOLS
    ]
    made[-1].parameters = SCHEMA_2020_12
    return [each for each in made if isinstance(each, StrictTool)]


def furnish(server: MCPServer[Any]) -> None:
    """Gives the server the suite's resources, prompts and completions."""
    resources(server)
    prompts(server)

    @server.completion()
    async def complete(  # pyright: ignore[reportUnusedFunction]
        ref: PromptReference | ResourceTemplateReference, argument: object, context: object
    ) -> Completion:
        return Completion(values=["paris", "park", "party"], total=3, has_more=False)

    async def accepted(ctx: object, params: object) -> EmptyResult:
        return EmptyResult()

    low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    low.add_request_handler("logging/setLevel", SetLevelRequestParams, accepted)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, accepted)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, accepted)


def resources(server: MCPServer[Any]) -> None:
    @server.resource("test://static-text", mime_type="text/plain")
    def text() -> str:  # pyright: ignore[reportUnusedFunction]
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", mime_type="image/png")
    def binary() -> bytes:  # pyright: ignore[reportUnusedFunction]
        return PIXEL

    @server.resource("test://watched-resource", mime_type="text/plain")
    def watched() -> str:  # pyright: ignore[reportUnusedFunction]
        return "Watched."

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002  # pyright: ignore[reportUnusedFunction]
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})


def prompts(server: MCPServer[Any]) -> None:
    @server.prompt(description="Text.")
    def test_simple_prompt() -> str:  # pyright: ignore[reportUnusedFunction]
        return "This is a simple prompt for testing."

    @server.prompt(description="Has two arguments.")
    def test_prompt_with_arguments(  # pyright: ignore[reportUnusedFunction]
        arg1: str, arg2: str
    ) -> str:
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt(description="Holds a resource.")
    def test_prompt_with_embedded_resource(  # pyright: ignore[reportUnusedFunction]
        resourceUri: str,
    ) -> Sequence[Message]:
        text = "Embedded resource content for testing."
        return [
            UserMessage(resource(resourceUri, "text/plain", text)),
            UserMessage("Please process the embedded resource above."),
        ]

    @server.prompt(description="Holds a picture.")
    def test_prompt_with_image() -> Sequence[Message]:  # pyright: ignore[reportUnusedFunction]
        return [UserMessage(PICTURE), UserMessage("Please analyze the image above.")]

    @server.prompt(description="Asks first.")
    async def test_input_required_result_prompt(  # pyright: ignore[reportUnusedFunction]
        ctx: CONTEXT,
    ) -> Sequence[Message] | InputRequiredResult:
        answer = answered(ctx, "user_context")
        if answer is not None:
            return [UserMessage(f"The context: {answer.get('context')}")]
        question = form("What context should the prompt use?", "context")
        return InputRequiredResult(input_requests={"user_context": question})


class Events(EventStore):
    """The events of one client, so that it can come back for those it missed."""

    def __init__(self) -> None:
        self.kept: list[tuple[str, JSONRPCMessage | None]] = []

    async def store_event(self, stream_id: str, message: JSONRPCMessage | None) -> str:
        self.kept.append((stream_id, message))
        return str(len(self.kept))

    async def replay_events_after(
        self, last_event_id: str, send_callback: EventCallback
    ) -> str | None:
        if not last_event_id.isdecimal() or not 0 < int(last_event_id) <= len(self.kept):
            return None
        stream = self.kept[int(last_event_id) - 1][0]
        for number, (of, message) in enumerate(self.kept, start=1):
            if number > int(last_event_id) and of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream
