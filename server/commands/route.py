"""`roundhouse route`: the plan a call would execute now. Calls nothing, costs nothing."""

import json
import os
import sys
from typing import Any, get_args

import anyio
import click

from .. import asks, results
from ..asks import Prefer, Size, Wish
from ..desk import Client
from ..errors import BadRequest
from ..explain import candidate_words, cleaned, folded, left_out, listed
from ..home import Home
from ..serve import build
from ..settings import Need, Privacy
from .call import CLIENT


@click.command()
@click.argument("prompt", required=False)
@click.option("--task", metavar="TASK", help="Kind of work: code, chat, private …")
@click.option("--model", metavar="NAME", help="provider/model, a model, or an alias.")
@click.option("--provider", metavar="NAME", help="Only this provider.")
@click.option("--input-tokens", type=click.IntRange(min=1), help="Instead of PROMPT.")
@click.option("--output-tokens", type=click.IntRange(min=1), help="The output cap.")
@click.option("--needs", metavar="LIST", help=f"Of {', '.join(get_args(Need))}; with commas.")
@click.option("--prefer", type=click.Choice(get_args(Prefer)))
@click.option("--strategy", metavar="NAME", help="Instead of the configured one.")
@click.option("--privacy", type=click.Choice(get_args(Privacy)), default="any")
@click.option("--max-cost", type=float, metavar="USD", help="Leave out what may cost more.")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(
    prompt: str | None,
    input_tokens: int | None,
    output_tokens: int | None,
    *,
    as_json: bool,
    **wished: Any,
) -> None:
    """Show where a call would go now, in which order, at what cost, and why not elsewhere: the
    very plan `complete` would execute. Status 1 when nothing can take it."""
    size = Size(prompt=prompt or "", tokens=input_tokens, cap=output_tokens)
    said = cleaned(anyio.run(planned, wish_of(**wished), size))
    if as_json:
        click.echo(json.dumps(said, indent=2, ensure_ascii=False))
    else:
        click.echo("\n".join(lines(said)))
    if not said["candidates"]:
        sys.exit(1)


def wish_of(*, needs: str | None, max_cost: float | None, model: str | None, **rest: Any) -> Wish:
    """Raises BadRequest."""
    wanted = frozenset(need.strip() for need in (needs or "").split(",") if need.strip())
    known = get_args(Need)
    if wrong := sorted(wanted - set(known)):
        raise BadRequest(f"{wrong[0][:40]!r} is no need", next_step=f"Known: {', '.join(known)}.")
    return Wish(
        tool="embed" if "embeddings" in wanted else "complete",
        model=asks.model_name(model),
        max_cost_nano=asks.money(max_cost),
        needs=wanted,
        **rest,
    )


async def planned(wish: Wish, size: Size) -> dict[str, Any]:
    """The plan as data, redacted."""
    _, desk = build(Home.find(os.environ), client=CLIENT)
    try:
        desk.read_plugins()
        plan = await desk.calls.route(wish, size, Client(name=CLIENT))
        said = results.routed(plan, await desk.calls.usual_ms()).structured_content
        return json.loads(desk.redactor.text(json.dumps(said)))
    finally:
        await desk.close()


def lines(said: dict[str, Any]) -> list[str]:
    candidates = listed(said["candidates"])
    found = [f"Strategy {said['strategy']}:" if candidates else "Nothing can take this call now."]
    for n, candidate in enumerate(candidates, 1):
        found += folded(candidate_words(n, candidate))
    return [*found, *left_out(said)]
