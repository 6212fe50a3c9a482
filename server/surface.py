"""What the SDK has no method to override for: completion of names, and following resources."""

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from mcp.server.mcpserver import MCPServer
from mcp.shared.exceptions import MCPError
from mcp.shared.subscriptions import ResourceUpdated
from mcp.types import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    CompleteRequestParams,
    CompleteResult,
    EmptyResult,
    SubscribeRequestParams,
    UnsubscribeRequestParams,
)

from .desk import Desk
from .errors import BadRequest, Declined, NotFound

if TYPE_CHECKING:
    from .updates import Updates

LISTEN = "subscriptions/listen"


@contextmanager
def spoken(desk: Desk, data: Mapping[str, str] | None = None) -> Generator[None]:
    """What is declined goes back as a protocol error of one sentence, with this data: there is no
    other way to refuse what is no tool."""
    try:
        yield
    except Declined as declined:
        said = f"{declined.message.rstrip('.')}. {declined.next_step}".strip()
        theirs = isinstance(declined, BadRequest | NotFound)
        code = INVALID_PARAMS if theirs else INTERNAL_ERROR
        raise MCPError(code=code, message=desk.redactor.text(said), data=data) from declined


def attach(server: MCPServer[Any], desk: Desk) -> None:
    """Adds the requests; what answers them is loaded with the first."""
    low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]
    bus = server._subscriptions  # pyright: ignore[reportPrivateUsage]
    made: list[Updates] = []

    async def publish(uri: str) -> None:
        await bus.publish(ResourceUpdated(uri=uri))

    def updates() -> "Updates":
        if not made:
            from .updates import Updates

            made.append(Updates(desk, publish))
        return made[0]

    async def complete(_: Any, params: CompleteRequestParams) -> CompleteResult:
        from .completing import completed

        with spoken(desk):
            argument = params.argument
            return CompleteResult(completion=await completed(desk, argument.name, argument.value))

    async def subscribe(ctx: Any, params: SubscribeRequestParams) -> EmptyResult:
        await updates().subscribe(str(params.uri), ctx.session)
        return EmptyResult()

    async def unsubscribe(ctx: Any, params: UnsubscribeRequestParams) -> EmptyResult:
        updates().unsubscribe(str(params.uri), ctx.session)
        return EmptyResult()

    serving = low.get_request_handler(LISTEN)
    assert serving is not None

    async def listen(ctx: Any, params: Any) -> Any:
        if not params.notifications.resource_subscriptions:
            return await serving.handler(ctx, params)
        async with updates().listening():
            return await serving.handler(ctx, params)

    low.add_request_handler("completion/complete", CompleteRequestParams, complete)
    low.add_request_handler("resources/subscribe", SubscribeRequestParams, subscribe)
    low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, unsubscribe)
    low.add_request_handler(LISTEN, serving.params_type, listen)
