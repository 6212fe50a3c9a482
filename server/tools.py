"""The six MCP tools: schema in, schema out, no logic."""

from collections.abc import Awaitable, Callable
from types import ModuleType
from typing import Annotated, Any, Literal

import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from ..providers.types import Call, Effort, Message
from . import asks, lengths, repeats, results, shapes
from .asks import Ask, EmbedAsk, Prefer, Wish
from .desk import Desk, client_info, normal
from .errors import Declined
from .settings import Privacy
from .strict import StrictTool

OPEN = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=True)
READ = ToolAnnotations(read_only_hint=True, open_world_hint=False)
UNLOAD = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
WHOLE = {"anthropic/maxResultSizeChars": 500_000}  # else Claude Code cuts at 50,000 characters
UP_FRONT = {"anthropic/alwaysLoad": True, **WHOLE}

Nothing = SkipJsonSchema[None]
Text = str | Nothing
Texts = list[str] | Nothing
Objects = list[dict[str, Any]] | Nothing
Count = Annotated[int, Field(ge=1)] | Nothing
Amount = Annotated[float, Field(ge=0)] | Nothing
Seconds = Annotated[float, Field(gt=0, le=3600)] | Nothing
Need = Literal["images", "tools", "schema", "embeddings"]
Group = Literal["provider", "model", "task", "client", "project", "day", "hour", "status"]

Task = Annotated[Text, Field(description="Kind of work, e.g. code, chat, summarization, private")]
Model = Annotated[Text, Field(description="provider/model, a model id, or an alias")]
Provider = Annotated[Text, Field(description="Only this provider")]
Hint = Annotated[Prefer | Nothing, Field(description="What matters most")]
Strategy = Annotated[Text, Field(description="Overrides the configured order of providers")]
Secrecy = Annotated[
    Privacy, Field(description="local: never leaves this machine. no_retention: not kept there")
]
MaxCost = Annotated[Amount, Field(description="Refuse what may cost more, in USD")]


def reports() -> ModuleType:
    """The reports, with the ledger behind them, are loaded at first use: see `Desk`."""
    from . import reports

    return reports


def conversations() -> ModuleType:
    """The models of messages and tools are built at first use."""
    from . import conversations

    return conversations


def consent() -> ModuleType:
    """Asking the user is loaded with the first call, as what it asks about is."""
    from . import consent

    return consent


class Tools:
    """One method per tool, on the desk of one server."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk

    async def complete(
        self,
        ctx: Context[Any, Any],
        prompt: Annotated[Text, Field(description="What to ask. Or give messages")] = None,
        messages: Annotated[
            Objects,
            Field(description="Chat Completions messages: role, content, tool_calls, tool_call_id"),
        ] = None,
        system: Text = None,
        task: Task = None,
        model: Model = None,
        provider: Provider = None,
        prefer: Hint = None,
        strategy: Strategy = None,
        privacy: Secrecy = "any",
        max_tokens: Annotated[Count, Field(description="Output cap")] = None,
        temperature: Annotated[float, Field(ge=0, le=2)] | Nothing = None,
        stop: Texts = None,
        effort: Annotated[Effort | Nothing, Field(description="Reasoning effort")] = None,
        images: Annotated[
            Texts, Field(description="data: URLs, or absolute paths in the project")
        ] = None,
        tools: Annotated[
            Objects, Field(description="Tools the model may call: name, description, parameters")
        ] = None,
        tool_choice: Annotated[
            Text, Field(description="auto, none, required or a tool's name")
        ] = None,
        output_schema: Annotated[
            dict[str, Any] | Nothing, Field(description="JSON Schema the answer must fit")
        ] = None,
        max_cost_usd: MaxCost = None,
        timeout_s: Annotated[
            Seconds, Field(description="Default 50; then the text so far and a call_id come back")
        ] = None,
        idempotency_key: Annotated[
            Text, Field(description="Asking again with it within 10 min makes no second call")
        ] = None,
        call_id: Annotated[
            Text, Field(description="Read on in an earlier call instead of asking")
        ] = None,
        offset: Annotated[
            int, Field(ge=0, description="Characters already read, with call_id")
        ] = 0,
        detail: Annotated[
            Literal["concise", "full", "raw"],
            Field(description="full adds attempts, timing, reasoning; raw the provider's errors"),
        ] = "concise",
    ) -> CallToolResult:
        """Ask a language model, routed with fallback, budgets and cost accounting.

        Use for a second opinion, a cheaper or local model, images, or JSON by schema. Returns the
        text with model, usage, cost and call_id. Paid models cost real money; see route_for_task.
        """

        async def answer() -> CallToolResult:
            report, full = ctx.report_progress, detail != "concise"
            allowed = self.desk.settings.limits.max_result_chars
            room = lengths.room(allowed, normal(client_info(ctx)[0]))
            if call_id is not None:
                outcome = await self.desk.calls.read_on(call_id, timeout_s, report)
                return results.completed(outcome, full=full, offset=offset, room=room)
            said = await self.said(prompt, messages, system, images)
            specs = conversations().tool_specs(tools or ())
            call = Call(
                messages=said,
                max_tokens=max_tokens or self.desk.settings.limits.max_tokens,
                temperature=temperature,
                stop=tuple(stop or ()),
                effort=effort,
                tools=specs,
                tool_choice=asks.tool_choice(tool_choice, specs),
                output_schema=output_schema,
            )
            asks.check(call)
            wish = Wish(
                task=task,
                model=asks.model_name(model),
                provider=provider,
                prefer=prefer,
                strategy=strategy,
                privacy=privacy,
                max_cost_nano=asks.money(max_cost_usd),
                needs=asks.needs(call),
            )
            capped = max_tokens is not None
            key = repeats.check(idempotency_key)
            ask = Ask(wish=wish, call=call, capped=capped, timeout_s=timeout_s, key=key)
            way = await consent().way(self.desk, ctx)
            outcome = await self.desk.calls.complete(ask, self.desk.client_of(ctx), report, way)
            return results.completed(outcome, full=full, room=room)

        return await self.spoken(answer, raw=detail == "raw")

    async def said(
        self,
        prompt: str | None,
        messages: list[dict[str, Any]] | None,
        system: str | None,
        images: list[str] | None,
    ) -> tuple[Message, ...]:
        """The conversation of a call; where it may hold pictures, read beside the event loop."""
        read, roots = conversations().conversation, self.desk.roots
        if messages is None and not images:
            return read(prompt, None, system, (), roots)
        return await anyio.to_thread.run_sync(read, prompt, messages, system, images or (), roots)

    async def embed(
        self,
        ctx: Context[Any, Any],
        texts: Annotated[list[str], Field(description="Texts to embed, in order")],
        query: Annotated[
            Text, Field(description="Rank the texts by similarity to this; best first")
        ] = None,
        task: Task = None,
        model: Model = None,
        provider: Provider = None,
        dimensions: Count = None,
        input_type: Literal["query", "document"] | Nothing = None,
        privacy: Secrecy = "any",
        max_cost_usd: MaxCost = None,
        timeout_s: Seconds = None,
        vectors: Annotated[
            Literal["inline"] | Nothing,
            Field(description="inline returns the vectors themselves; for scripts, not for models"),
        ] = None,
    ) -> CallToolResult:
        """Embed texts, or rank them against a query.

        Use with query to find the texts closest in meaning. Vectors are not returned unless asked.
        """

        async def answer() -> CallToolResult:
            call = asks.embed_call(texts, dimensions, input_type, query)
            wish = Wish(
                tool="embed",
                task=task,
                model=asks.model_name(model),
                provider=provider,
                privacy=privacy,
                max_cost_nano=asks.money(max_cost_usd),
                needs=frozenset({"embeddings"}),
            )
            ask = EmbedAsk(wish=wish, call=call, query=query, timeout_s=timeout_s)
            way, report = await consent().way(self.desk, ctx), ctx.report_progress
            outcome = await self.desk.calls.embed(ask, self.desk.client_of(ctx), report, way)
            return results.embedded(outcome, texts=texts, vectors=vectors == "inline")

        return await self.spoken(answer)

    async def route_for_task(
        self,
        ctx: Context[Any, Any],
        task: Task = None,
        model: Model = None,
        provider: Provider = None,
        prompt: Text = None,
        input_tokens: Annotated[Count, Field(description="Instead of prompt")] = None,
        output_tokens: Annotated[Count, Field(description="Output cap")] = None,
        needs: list[Need] | Nothing = None,
        prefer: Hint = None,
        strategy: Strategy = None,
        privacy: Secrecy = "any",
        max_cost_usd: MaxCost = None,
    ) -> CallToolResult:
        """Show which models complete or embed would try, in order, at what cost, and why others are
        left out. Calls nothing, costs nothing."""

        async def answer() -> CallToolResult:
            wish = Wish(
                tool="embed" if "embeddings" in (needs or ()) else "complete",
                task=task,
                model=asks.model_name(model),
                provider=provider,
                prefer=prefer,
                strategy=strategy,
                privacy=privacy,
                max_cost_nano=asks.money(max_cost_usd),
                needs=frozenset(needs or ()),
            )
            size = asks.Size(prompt=prompt or "", tokens=input_tokens, cap=output_tokens)
            plan = await self.desk.calls.route(wish, size, self.desk.client_of(ctx))
            return results.routed(plan, await self.desk.calls.usual_ms())

        return await self.spoken(answer)

    async def provider_health(
        self,
        provider: Provider = None,
        probe: Annotated[bool, Field(description="Ask each provider now; free of charge")] = False,
    ) -> CallToolResult:
        """Say which providers are usable: key, circuit, error rate, latency, models."""

        async def answer() -> CallToolResult:
            return await reports().health(self.desk, provider, probe=probe)

        return await self.spoken(answer)

    async def cost_report(
        self,
        period: Literal["hour", "day", "week", "month", "all"] = "day",
        since: Annotated[Text, Field(description="ISO date or time, instead of period")] = None,
        until: Text = None,
        group_by: list[Group] | Nothing = None,
        limit: Annotated[int, Field(ge=1, le=200)] = 20,
    ) -> CallToolResult:
        """Report money and tokens spent, by provider, model, task, client or day, and what each
        budget has left."""

        async def answer() -> CallToolResult:
            from . import spending

            zone, now = self.desk.settings.timezone, self.desk.clock()
            span = spending.span(period, since, until, timezone=zone, now=now)
            return await spending.costs(self.desk, span, group_by or ["provider", "model"], limit)

        return await self.spoken(answer)

    async def unload_model(
        self,
        model: Annotated[str, Field(description="Model or provider/model to unload")],
        provider: Provider = None,
        force: Annotated[bool, Field(description="Cancel calls that still use it")] = False,
    ) -> CallToolResult:
        """Free the memory of a local model. Does nothing for cloud models."""

        async def answer() -> CallToolResult:
            return await reports().unload(self.desk, model, provider, force=force)

        return await self.spoken(answer)

    async def spoken(
        self, answer: Callable[[], Awaitable[CallToolResult]], *, raw: bool = False
    ) -> CallToolResult:
        """The answer, or what was declined as redacted text the caller can act on; or the question
        its user has to answer first."""
        try:
            return await answer()
        except Declined as declined:
            if declined.code == "approval_needed":
                return consent().asked_for(declined)
            text = results.error_text(declined, raw=raw)
            raise ToolError(self.desk.redactor.text(text)) from declined


def strict_tools(desk: Desk) -> list[StrictTool]:
    """The tools in the fixed order clients list them."""
    tools = Tools(desk)
    make = StrictTool.made
    return [
        make(tools.complete, shapes.COMPLETED, annotations=OPEN, meta=UP_FRONT),
        make(tools.embed, shapes.EMBEDDED, annotations=OPEN, meta=WHOLE),
        make(tools.route_for_task, shapes.ROUTED, annotations=READ),
        make(tools.provider_health, shapes.HEALTH, annotations=READ),
        make(tools.cost_report, shapes.COSTS, annotations=READ),
        make(tools.unload_model, shapes.UNLOADED, annotations=UNLOAD),
    ]
