"""Conversations and tools as callers write them, read with pydantic into the words of providers.

Loaded with the first call that has any: building these models is work an editor would wait for.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import PureWindowsPath
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ..providers.types import Image, Message, Tool, ToolCall
from . import files, schemas
from .errors import BadRequest
from .files import Roots

IMAGE_BYTES = 5 * 1024 * 1024
MESSAGES = 2_000
PICTURES = {  # media type -> what such a file begins with
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
DATA_URL = re.compile(r"data:(image/(?:png|jpeg|gif|webp));base64,(.*)", re.DOTALL)


class Function(BaseModel):
    model_config = ConfigDict(extra="ignore")
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,128}$")]
    description: str = ""
    parameters: dict[str, Any] = {}
    arguments: str | dict[str, Any] = {}


class Called(BaseModel):
    """A tool call in the conversation, as OpenAI writes it or flat, as we return it."""

    model_config = ConfigDict(extra="ignore")
    id: str = ""
    function: Function | None = None
    name: str | None = None
    arguments: str | dict[str, Any] = {}
    signature: str | None = None

    def tool_call(self) -> ToolCall:
        name = self.function.name if self.function else self.name
        if not name:
            raise BadRequest("a tool call in messages has no name")
        arguments = self.function.arguments if self.function else self.arguments
        if isinstance(arguments, str):
            with suppress(ValueError):  # a cut-off call goes back as the text it was
                arguments = json.loads(arguments or "{}")
        return ToolCall(id=self.id, name=name, arguments=arguments, signature=self.signature)


class Part(BaseModel):
    model_config = ConfigDict(extra="ignore")
    type: Literal["text", "image", "image_url"]
    text: str = ""
    image_url: str | dict[str, Any] | None = None
    data: str | None = None
    media_type: str = "image/png"

    def image(self, roots: Roots) -> Image:
        if self.data is not None:
            return image(f"data:{self.media_type};base64,{self.data}", roots)
        url = self.image_url
        return image(str(url.get("url", "")) if isinstance(url, dict) else str(url or ""), roots)


class Said(BaseModel):
    """One message of the caller's, as Chat Completions writes it."""

    model_config = ConfigDict(extra="forbid")
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part] | None = None
    tool_calls: list[Called] = []
    tool_call_id: str | None = None
    name: str | None = None

    def message(self, roots: Roots) -> Message:
        parts = self.content if isinstance(self.content, list) else []
        text = self.content if isinstance(self.content, str) else ""
        return Message(
            role="system" if self.role == "developer" else self.role,
            text=text or "\n".join(p.text for p in parts if p.type == "text"),
            images=tuple(p.image(roots) for p in parts if p.type != "text"),
            tool_calls=tuple(c.tool_call() for c in self.tool_calls),
            tool_call_id=self.tool_call_id,
        )


def image(url: str, roots: Roots) -> Image:
    """The picture in a data: URL or in a file under `roots`. Raises BadRequest for what would have
    to be fetched, and for what is no picture we know."""
    url = url.strip()
    if url.startswith("/") or PureWindowsPath(url).drive:
        return picture(url, files.read(url, roots, most=IMAGE_BYTES))
    match = DATA_URL.fullmatch(url)
    if not match:
        raise BadRequest(
            "an image must be an absolute path, or a data: URL of type image/png, image/jpeg, "
            "image/gif or image/webp",
            next_step="Send the picture itself as base64; addresses are not fetched.",
        )
    if len(match[2]) * 3 // 4 > IMAGE_BYTES:
        size = len(match[2]) * 3 / 4 / 1024 / 1024
        raise BadRequest(f"an image has {size:.1f} MiB, the limit is {IMAGE_BYTES >> 20} MiB")
    try:
        base64.b64decode(match[2], validate=True)
    except (binascii.Error, ValueError):
        raise BadRequest("an image is not valid base64") from None
    return Image(match[1], match[2])


def picture(name: str, data: bytes) -> Image:
    """A file's picture, by what it begins with: a file's name may say anything."""
    kind = next((kind for kind, begins in PICTURES.items() if begins.match(data)), None)
    if kind is None:
        raise BadRequest(f"{name[:200]} is no PNG, JPEG, GIF or WebP picture")
    return Image(kind, base64.b64encode(data).decode())


def first_problem(error: ValidationError) -> str:
    problem = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in problem["loc"])
    return f"{where}: {problem['msg']}" if where else str(problem["msg"])


def conversation(
    prompt: str | None,
    messages: Sequence[Mapping[str, Any]] | None,
    system: str | None,
    images: Sequence[str],
    roots: Roots,
) -> tuple[Message, ...]:
    """The messages of a call; pictures may be files under `roots`. Exactly one of `prompt` and
    `messages` must say something."""
    if prompt is not None and messages is not None:
        raise BadRequest("give prompt or messages, not both")
    if prompt is None and messages is None:
        raise BadRequest("there is nothing to complete", next_step="Give prompt or messages.")
    if messages is not None and images:
        raise BadRequest("images go with prompt; in messages they are parts of type image")
    if prompt is not None and not prompt.strip() and not images:
        raise BadRequest("the prompt is empty", next_step="Say in prompt what is wanted.")
    head = (Message(role="system", text=system),) if system else ()
    if messages is None:
        pictures = tuple(image(url, roots) for url in images)
        return (*head, Message(role="user", text=prompt or "", images=pictures))
    return (*head, *history(messages, roots))


def history(messages: Sequence[Mapping[str, Any]], roots: Roots) -> tuple[Message, ...]:
    if not messages:
        raise BadRequest("messages is empty", next_step="Give at least one user message.")
    if len(messages) > MESSAGES:
        raise BadRequest(f"there are {len(messages)} messages, the limit is {MESSAGES}")
    try:
        said = [Said.model_validate(message) for message in messages]
    except ValidationError as error:
        raise BadRequest(f"messages: {first_problem(error)}") from None
    if all(m.role in ("system", "developer") for m in said):
        raise BadRequest("messages holds no user message")
    made = tuple(m.message(roots) for m in said)
    if not any(m.text.strip() or m.images or m.tool_calls for m in made if m.role != "system"):
        raise BadRequest("the messages say nothing", next_step="Say in one what is wanted.")
    return made


def tool_specs(tools: Sequence[Mapping[str, Any]]) -> tuple[Tool, ...]:
    """Tool definitions, flat or wrapped as `{type: function, function: …}`."""
    specs: list[Tool] = []
    for n, given in enumerate(tools):
        inner = given.get("function", given)
        try:
            spec = Function.model_validate(inner)
        except ValidationError as error:
            raise BadRequest(f"tools.{n}: {first_problem(error)}") from None
        parameters = spec.parameters or {"type": "object", "properties": {}}
        if parameters.get("type") != "object":
            raise BadRequest(f"tools.{n}: parameters must be a JSON Schema of type object")
        schemas.check_tool(n, parameters)
        specs.append(Tool(name=spec.name, description=spec.description, parameters=parameters))
    names = [spec.name for spec in specs]
    if len(set(names)) < len(names):
        raise BadRequest("two tools have the same name")
    return tuple(specs)
