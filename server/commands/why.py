"""`roundhouse why`: a call explained from the ledger, with or without a server."""

import json
import os
from functools import partial
from typing import Any

import click

from ..errors import BadRequest, NotFound
from ..explain import data_of, explained
from ..home import Home
from ..ledger import stories
from ..ledger.driver import Connection
from ..redact import Redactor
from ..telling import plain
from .reading import read


@click.command()
@click.argument("call_id")
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
def command(call_id: str, *, as_json: bool) -> None:
    """Explain the call CALL_ID: where it could go and why not elsewhere, what was tried, what it
    waited for and cost. The beginning or end of an id is enough; `last` is the newest."""
    home = Home.find(os.environ)
    told = read(home, partial(found, part=call_id.strip()), None)
    if told is None:
        raise NotFound("there are no calls yet", next_step="The ledger is made with the first.")
    lines = [json.dumps(told, indent=2, ensure_ascii=False)] if as_json else explained(told)
    click.echo(Redactor().text("\n".join(lines)))


def found(db: Connection, part: str) -> dict[str, Any]:
    return data_of(stories.story(db, one_of(db, part)))


def one_of(db: Connection, part: str) -> str:
    """The whole id. Raises NotFound and BadRequest, with ids that would do."""
    matches = stories.matches(db, part)
    if not matches.found:
        latest = ", ".join(
            f"{row['call_id']} ({row['provider'] or 'nobody'}, {row['status']})"
            for row in matches.latest
        )
        raise NotFound(
            f"there is no call {part[:40]!r}",
            next_step=f"The latest: {plain(latest)}." if latest else "There are no calls yet.",
        )
    call_id, *others = matches.found
    if others:
        raise BadRequest(
            f"{part[:40]!r} fits several calls",
            next_step=f"For example {plain(', '.join(matches.found))}.",
        )
    return call_id
