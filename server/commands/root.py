"""`roundhouse`: the group, which knows every subcommand's line of help without importing it."""

from importlib import import_module
from typing import Any

import click

from ..errors import BadRequest, ConfigError, Declined, NotFound

MISTAKE = 2

# name -> (module, line of help)
COMMANDS: dict[str, tuple[str, str]] = {
    "serve": ("serve", "Serve MCP on stdin and stdout, as editors run it, or over HTTP."),
    "demo": ("demo", "See it work: scripted providers, no keys, no network."),
    "doctor": ("doctor", "Say what is configured, what answers, and what to fix."),
    "install": ("install", "Add Roundhouse to an editor or agent, or say who has it."),
    "uninstall": ("uninstall", "Take it out again."),
    "call": ("call", "Call one of the six tools from here."),
    "batch": ("batch", "Ask for every line of a file; resumable, within your budgets."),
    "config": ("config", "The configuration: init, path, show, check."),
    "keys": ("keys", "API keys: set, list, import, remove."),
    "token": ("token", "Tokens of clients that connect over HTTP: add, list, remove."),
    "providers": ("providers", "Providers: list, add, set, remove."),
    "models": ("models", "List the models you can use."),
    "watch": ("watch", "Watch calls, money and circuits live, and act."),
    "status": ("status", "One line for tmux or an editor's status line."),
    "tail": ("tail", "Calls as they end."),
    "cost": ("cost", "Say what was spent."),
    "reconcile": ("reconcile", "Correct what a call cost, once its bill is known."),
    "route": ("route", "Show where a call would go now, and why."),
    "why": ("why", "Explain a call: where it went, and why."),
    "ledger": ("ledger", "The ledger: check, repair, vacuum, export."),
    "circuit": ("circuit", "Circuits: list, trip, reset, hold, unhold."),
    "approve": ("approve", "Answer calls that ask before they exceed a budget."),
    "budget": ("budget", "Budgets: list, set, remove."),
}


class Mistake(click.ClickException):
    """A user's mistake: one sentence, status 2."""

    exit_code = MISTAKE


class Refusal(click.ClickException):
    """Roundhouse said no: one sentence and what to do next, status 1."""


class Root(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS and cmd_name not in self.commands:
            module = import_module(f"..{COMMANDS[cmd_name][0]}", __name__)
            self.add_command(module.command, cmd_name)
        return super().get_command(ctx, cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            raise Mistake(str(error)) from None
        except Declined as declined:
            kind = Mistake if isinstance(declined, BadRequest | NotFound) else Refusal
            raise kind(sentence(declined)) from None


def sentence(declined: Declined) -> str:
    """What was declined, and what to do next. A name at its beginning is written as it is."""
    said = declined.message.rstrip(".")
    if said.partition(" ")[0].isalpha():
        said = f"{said[:1].upper()}{said[1:]}"
    return f"{said}. {declined.next_step}".strip()


@click.group(cls=Root, invoke_without_command=True)
@click.version_option(package_name="roundhouse-mcp", prog_name="roundhouse")
@click.pass_context
def root(ctx: click.Context) -> None:
    """Every language model you have, for any agent or editor, with fallback, budgets and costs.

    New here: roundhouse demo, then roundhouse doctor.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
