"""The six MCP tools: schema in, schema out, no logic."""

from collections.abc import Awaitable, Callable
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Annotated, Any, Literal

import anyio.to_thread
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import CallToolResult, ToolAnnotations
from pydantic import Field

from ..providers.types import Call, Effort, Message
from . import asks, lengths, repeats, results, shapes
from .arguments import (
    Count,
    Group,
    Hint,
    MaxCost,
    Model,
    Need,
    Nothing,
    Objects,
    Provider,
    Seconds,
    Secrecy,
    Strategy,
    Task,
    Text,
    Texts,
)
from .asks import Ask, EmbedAsk, Wish
from .desk import Desk, client_info, normal
from .errors import BadRequest, Declined
from .exposed import ALL, Exposed
from .strict import StrictTool

if TYPE_CHECKING:
    from .attached import TextFile
    from .outcomes import Outcome
    from .output_file import Target

OPEN = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=True)
READ = ToolAnnotations(read_only_hint=True, open_world_hint=False)
UNLOAD = ToolAnnotations(
    read_only_hint=False, destructive_hint=False, idempotent_hint=True, open_world_hint=False
)
WHOLE = {"anthropic/maxResultSizeChars": 500_000}  # else Claude Code cuts at 50,000 characters
UP_FRONT = {"anthropic/alwaysLoad": True, **WHOLE}

Handler = Callable[..., Awaitable[CallToolResult]]


def reports() -> ModuleType:
    """The reports, with the ledger behind them, are loaded at first use: see `Desk`."""
    from . import reports

    return reports


def later(name: str) -> ModuleType:
    """What else an editor that starts us does not wait for: models of messages to build, and what
    only some calls need."""
    return import_module(f".{name}", __package__)


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
        files: Annotated[
            Texts, Field(description="Text files of the project to read first: absolute paths")
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
        output_file: Annotated[
            Text, Field(description="Absolute path: write the text there, return only its size")
        ] = None,
        overwrite: Annotated[bool, Field(description="output_file may exist")] = False,
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
            target = await self.target(output_file, overwrite=overwrite)
            if call_id is not None:
                by = self.desk.client_of(ctx)
                outcome = await self.desk.calls.read_on(call_id, by, timeout_s, report)
                return await self.handed(ctx, outcome, target, full=full, offset=offset)
            said = await self.said(prompt, messages, system, images, files)
            specs = later("conversations").tool_specs(tools or ())
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
            way = await later("consent").way(self.desk, ctx)
            outcome = await self.desk.calls.complete(ask, self.desk.client_of(ctx), report, way)
            return await self.handed(ctx, outcome, target, full=full)

        return await self.spoken(answer, raw=detail == "raw")

    async def target(self, name: str | None, *, overwrite: bool) -> "Target | None":
        """Where the answer is to be written, looked at before it costs anything."""
        if name is None:
            if overwrite:
                raise BadRequest("overwrite needs output_file")
            return None
        find, roots = partial(later("output_file").target, overwrite=overwrite), self.desk.roots
        return await anyio.to_thread.run_sync(find, name, roots)

    async def handed(
        self,
        ctx: Context[Any, Any],
        outcome: "Outcome",
        target: "Target | None",
        *,
        full: bool,
        offset: int = 0,
    ) -> CallToolResult:
        """The answer as it goes back: the text, or the file it is in."""
        if target is not None:
            outcome, offset = await later("output_file").written(outcome, target), 0
        allowed = self.desk.settings.limits.max_result_chars
        room = lengths.room(allowed, normal(client_info(ctx)[0]))
        return results.completed(outcome, full=full, offset=offset, room=room)

    async def said(
        self,
        prompt: str | None,
        messages: list[dict[str, Any]] | None,
        system: str | None,
        images: list[str] | None,
        files: list[str] | None,
    ) -> tuple[Message, ...]:
        """The conversation of a call; where it may hold files, read beside the event loop."""
        read, roots = later("conversations").conversation, self.desk.roots
        if messages is None and not images and not files:
            return read(prompt, None, system, (), roots)
        run = anyio.to_thread.run_sync
        said = await run(read, prompt, messages, system, images or (), roots)
        return later("attached").before(said, await self.read(files)) if files else said

    async def read(self, files: list[str] | None) -> "tuple[TextFile, ...]":
        if not files:
            return ()
        return await anyio.to_thread.run_sync(later("attached").read, files, self.desk.roots)

    async def embed(
        self,
        ctx: Context[Any, Any],
        texts: Annotated[Texts, Field(description="Texts to embed, in order")] = None,
        files: Annotated[
            Texts, Field(description="Text files to embed after texts: absolute paths")
        ] = None,
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
            Literal["inline", "resource"] | Nothing,
            Field(description="inline: return the vectors, for scripts. resource: where to fetch"),
        ] = None,
    ) -> CallToolResult:
        """Embed texts, or rank them against a query.

        Use with query to find the texts closest in meaning. Vectors are not returned unless asked.
        """

        async def answer() -> CallToolResult:
            said, read = texts or [], await self.read(files)
            every = (*said, *(file.text for file in read))
            call = asks.embed_call(every, dimensions, input_type, query)
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
            way, report = await later("consent").way(self.desk, ctx), ctx.report_progress
            outcome = await self.desk.calls.embed(ask, self.desk.client_of(ctx), report, way)
            made = results.embedded(outcome, texts=said, files=files or (), vectors=vectors)
            return (
                later("resources").kept(self.desk, outcome, made) if vectors == "resource" else made
            )

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
        model: Annotated[str, Field(description="Model or alias, or whole provider")],
        provider: Provider = None,
        force: Annotated[bool, Field(description="Cancel calls that still use it")] = False,
    ) -> CallToolResult:
        """Free the memory of a local model. Does nothing for cloud models."""

        async def answer() -> CallToolResult:
            from . import unloads

            done = await unloads.unload(self.desk, model, provider, force=force)
            return results.result(unloads.as_data(done), unloads.words(done))

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
                return later("consent").asked_for(declined)
            text = results.error_text(declined, raw=raw)
            raise ToolError(self.desk.redactor.text(text)) from declined


def strict_tools(desk: Desk, shown: Exposed = ALL) -> list[StrictTool]:
    """The tools in the fixed order clients list them."""
    tools = Tools(desk)
    kinds: dict[str, tuple[Handler, dict[str, Any], ToolAnnotations, dict[str, Any] | None]] = {
        "complete": (tools.complete, shapes.COMPLETED, OPEN, UP_FRONT),
        "embed": (tools.embed, shapes.EMBEDDED, OPEN, WHOLE),
        "route_for_task": (tools.route_for_task, shapes.ROUTED, READ, None),
        "provider_health": (tools.provider_health, shapes.HEALTH, READ, None),
        "cost_report": (tools.cost_report, shapes.COSTS, READ, None),
        "unload_model": (tools.unload_model, shapes.UNLOADED, UNLOAD, None),
    }
    made: list[StrictTool] = []
    for name in shown.names:
        handler, shape, annotations, meta = kinds[name]
        tool = StrictTool.made(handler, shape, annotations=annotations, meta=meta)
        tool.name, tool.description = f"{shown.prefix}{name}", shown.written(tool.description)
        made.append(tool)
    return made
