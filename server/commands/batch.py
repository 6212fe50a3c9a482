"""`roundhouse batch`: many completions from a file, as far as the budget goes."""

import os
import signal
import sys
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import click
from pydantic import ValidationError

from .. import library
from ..bulk import output as outputs
from ..bulk.lines import Line, Problem, read
from ..bulk.output import Output
from ..bulk.work import Progress, work
from ..desk import Desk
from ..errors import ConfigError
from ..money import dollars
from ..strict import complaint

CLIENT = "batch"
MOST_AT_ONCE = 64
SHOWN = 20  # lines that failed, by name
FAILED, OVER_BUDGET, INTERRUPTED = 1, 3, 130
TENTHS = 10


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--concurrency",
    type=click.IntRange(1, MOST_AT_ONCE),
    default=4,
    show_default=True,
    help="Requests at a time.",
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where the answers go.  [default: FILE with .answers.jsonl]",
)
def command(file: Path, concurrency: int, output: Path | None) -> None:
    """Ask for every line of FILE, a JSON object with the arguments of complete, and write the
    answers, one a line.

    \b
    {"custom_id": "a", "prompt": "Say hello", "model": "openai/gpt-5-mini", "max_tokens": 50}

    The same command again asks only for what has no answer yet. Status 1: a line failed or is no
    request; 3: a budget is full; 130: interrupted.
    """
    target = output or file.with_suffix(".answers.jsonl")
    if target.resolve() == file.resolve():
        raise ConfigError(f"{file} cannot be its own --output.")
    sys.exit(anyio.run(batch, file, target, concurrency))


async def batch(file: Path, target: Path, concurrency: int) -> int:
    """The command's status. Raises ConfigError."""
    async with library.opened(client=CLIENT) as models:
        lines, problems = read(file, checker(models.server.desk))
        with outputs.opened(target) as output:
            todo, changed = missing(lines, output)
            problems += changed
            progress = Progress(total=len(todo))
            show_problems(problems)
            with shown(progress) as tell, anyio.CancelScope() as scope:
                async with anyio.create_task_group() as group:
                    if os.name == "posix":
                        group.start_soon(interruptible, scope)
                    await work(models, todo, output, progress, concurrency=concurrency, tell=tell)
                    group.cancel_scope.cancel()
            answered = len(lines) - len(todo) - len(changed)
    return summed_up(progress, target, answered, problems, interrupted=scope.cancel_called)


async def interruptible(scope: anyio.CancelScope) -> None:
    """The first signal ends the batch, and what runs settles."""
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async for _ in signals:
            scope.cancel()
            return


def checker(desk: Desk) -> Callable[[Mapping[str, Any]], str | None]:
    """Says what is wrong with a request's arguments, before anything is asked."""
    from ..tools import strict_tools

    tool = next(tool for tool in strict_tools(desk) if tool.name == "complete")
    names = tool.parameters["properties"]

    def wrong(arguments: Mapping[str, Any]) -> str | None:
        unknown = next((name for name in arguments if name not in names), None)
        if unknown is not None:
            return f"complete has no argument {unknown[:80]!r}"
        try:
            tool.fn_metadata.arg_model.model_validate(arguments)
        except ValidationError as error:
            return complaint("complete", error)
        return None if {"prompt", "messages"} & arguments.keys() else "it has no prompt"

    return wrong


def missing(lines: list[Line], output: Output) -> tuple[list[Line], list[Problem]]:
    """The lines without an answer, and those whose answer is that of another request."""
    todo = [line for line in lines if line.custom_id not in output.answered]
    changed = [
        Problem(
            line.number,
            f"another request has an answer under its custom_id {line.custom_id!r} in "
            f"{output.path}; take a new custom_id, or another --output",
        )
        for line in lines
        if output.answered.get(line.custom_id, line.digest) != line.digest
    ]
    return todo, changed


def show_problems(problems: list[Problem]) -> None:
    for problem in problems:
        click.echo(f"line {problem.number} is left out: {problem.why}", err=True)


@contextmanager
def shown(progress: Progress) -> Generator[Callable[[], None]]:
    """What to call after every request: a bar where there is a terminal, else a line for every
    tenth of the work."""
    if not sys.stderr.isatty():
        step = max(1, progress.total // TENTHS)

        def line() -> None:
            if progress.ended % step == 0 or progress.left == 0:
                click.echo(words(progress), err=True)

        yield line
        return
    bar: Any = click.progressbar(  # pyright: ignore[reportUnknownVariableType]
        length=progress.total,
        file=sys.stderr,
        show_pos=True,
        item_show_func=lambda _: dollars(progress.cost_nano),
    )
    with bar:

        def move() -> None:
            bar.update(progress.ended - bar.pos)
            bar.render_progress()

        yield move


def words(progress: Progress) -> str:
    failed = f", {len(progress.failed)} failed" if progress.failed else ""
    return f"{progress.ended} of {progress.total}{failed}, {dollars(progress.cost_nano)}"


def summed_up(
    progress: Progress,
    target: Path,
    before: int,
    problems: list[Problem],
    *,
    interrupted: bool,
) -> int:
    """Says what came of it and what to do next; the command's status."""
    for line, refused in progress.failed[:SHOWN]:
        first = str(refused).splitlines()[0]
        click.echo(f"line {line.number} ({line.custom_id}) failed: {first}", err=True)
    if len(progress.failed) > SHOWN:
        click.echo(f"and {len(progress.failed) - SHOWN} more", err=True)
    unknown = f" and {progress.unpriced} of unknown cost" if progress.unpriced else ""
    already = f", {before} were there already" if before else ""
    click.echo(
        f"{progress.answered} answers for {dollars(progress.cost_nano)}{unknown} are in {target}"
        f"{already}."
    )
    if progress.again:
        click.echo(f"{progress.again} had been asked before; their answers were lost.")
    if interrupted:
        click.echo(f"Interrupted with {progress.left} left; the same command goes on.")
        return INTERRUPTED
    if progress.full is not None:
        click.echo(str(progress.full).splitlines()[0], err=True)
        click.echo(
            f"A budget is full with {progress.left} left; the same command goes on when there is "
            "money again (roundhouse budget)."
        )
        return OVER_BUDGET
    if progress.failed:
        click.echo(f"{len(progress.failed)} failed; the same command asks for them again.")
    return FAILED if progress.failed or problems else 0
