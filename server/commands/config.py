"""`roundhouse config`: init, path, show, check."""

import json
import os
from collections.abc import Iterator
from typing import Any, cast

import click

from .. import config
from ..config import HIDDEN, Loaded
from ..errors import ConfigError
from ..home import Home
from ..lines import Path, leaves, shown
from .workbench import workbench

TEMPLATE = """\
# Roundhouse. Everything here is optional: a key variable such as OPENAI_API_KEY, or a local program
# such as Ollama, is enough. `roundhouse config check` reads this file, `roundhouse config show`
# prints every value and where it came from. Any value can come from the environment instead:
# ROUNDHOUSE_ROUTING__STRATEGY=cheapest, ROUNDHOUSE_PROVIDERS__OPENAI__PRIORITY=1.
# Keys do not belong here: roundhouse keys set NAME

# timezone = "Europe/Berlin"              # when budget days begin; default UTC

[routing]
# strategy = "priority"                   # priority, local_first, cloud_first, cheapest, best
# chain = ["ollama", "openai", "anthropic"]   # this order of providers, whatever their priority
# fallback = true                         # try the next candidate when one fails
# privacy = "any"                         # any, no_retention, local: for every call

# What a task uses. A string or a list of models is enough.
# [routing.tasks]
# code = ["anthropic/claude-sonnet-4-5", "openai/gpt-5"]
# documentation = { strategy = "cheapest" }
# confidential = { privacy = "local" }

# A provider we know: switch it off, order it, name its models.
# [providers.openai]
# enabled = true
# priority = 1                            # lower first
# models = ["gpt-5", "gpt-5-mini"]        # the first is its default
# defaults = { max_tokens = 8192 }
# use_for = ["code", "agents"]            # tasks it is meant for
# cost_multiplier = 1.0                   # what you pay, relative to the list price

# A second account of one: its key is set with `roundhouse keys set openai-work`.
# [providers.openai-work]
# like = "openai"

# A provider of your own.
# [providers.my-vllm]
# wire = "openai_chat"
# base_url = "http://localhost:8000/v1"
# local = true
# models = ["qwen3"]

# An engine that is started when it is needed, and ended when it is not (docs/engines.md).
# [providers.coder]
# engine = "llamacpp"                     # llamacpp, mlx, transformers, command
# model = "~/models/qwen3-8b-q4_k_m.gguf" # or the id of a model that was downloaded

# What may be spent. A call that could cost more than what is left is refused before it is sent.
# [[budgets]]
# scope = "global"                        # global, provider:X, model:X, task:X, client:X, project:X
# period = "day"                          # day, week, month, total
# limit_usd = "10.00"
# warn_at = 0.8
# at_limit = "refuse"                     # refuse, cheapest, local, ask (roundhouse approve)
# reserve = "bound"                       # hold the worst case; expected: what few calls exceed

# How many calls a minute an agent may make; "*" is every client that is not named.
# [clients.cursor]
# rpm = 30

# The same for all agents of a project together: the directory they start us in, or "*" for each.
# [projects."/home/me/work"]
# rpm = 60

# Be asked before a project's first call to a provider that is not on this machine.
# [approvals]
# first_use = true

# A program that is told, in JSON on its standard input, of budgets, circuits and odd spending.
# [alerts]
# command = ["/home/me/bin/tell-me"]

# Your own prices, in USD per million tokens.
# [prices."my-vllm/qwen3"]
# input = "0.10"
# output = "0.40"                         # cached, cache_write, per_request, per_second, per_image

# [price_updates]
# enabled = true                          # fetch the public price table hourly; else nothing is

# [circuits]
# failure_threshold = 5                   # failures in a row that open a circuit
# reset_timeout_s = 60                    # until one call may try again

# [retries]
# per_provider = 2
# per_call = 4

# [limits]
# timeout_s = 50                          # editors give up after 60
# max_tokens = 4096                       # output cap where a call names none

# [files]
# roots = ["/srv/screenshots"]            # whose files agents may name, beside the project

# [network]
# proxy = "http://proxy.example:3128"
# ca_file = "/etc/ssl/company.pem"
# trusted_hosts = ["gpu-box"]             # may be reached over plain http, and count as local

# [logs]
# level = "info"                          # of the files in logs/: debug, info, warning, error
# file = true

# [telemetry]                             # needs roundhouse-mcp[otel]; nothing is sent without it
# otlp_endpoint = "http://localhost:4318"
# record_content = false                  # true: traces hold prompts and answers, too
"""


@click.group()
def command() -> None:
    """The configuration file and what it means."""


@command.command("path")
def path() -> None:
    """Print where the configuration file is, or would be."""
    click.echo(Home.find(os.environ).config)


@command.command("init")
def init() -> None:
    """Write a commented configuration file."""
    home = Home.find(os.environ)
    if home.config.exists():
        raise ConfigError(f"{home.config} is there already; edit it, or move it away first.")
    home.write(home.config, TEMPLATE)
    click.echo(f"Wrote {home.config}; every line in it is optional.")


@command.command("check")
def check() -> None:
    """Read the configuration and say whether it can be used."""
    bench = workbench()
    there = bench.home.config.exists()
    click.echo(f"{bench.home.config} {'is fine' if there else 'does not exist, which is fine'}.")
    for problem in bench.keys.problems.values():
        click.echo(problem)


@command.command("show")
@click.option("--all", "everything", is_flag=True, help="Also what was left at its default.")
def show(*, everything: bool) -> None:
    """Print each value and where it came from. Keys and headers are never shown."""
    bench = workbench()
    rows = [
        (shown(path), said(path, value), origin)
        for path, value, origin in values(bench.loaded)
        if everything or origin != "default"
    ]
    if not rows:
        click.echo("Everything is at its default. See: roundhouse config show --all")
    width = max((len(name) + len(value) for name, value, _ in rows), default=0) + 3
    for name, value, origin in rows:
        click.echo(f"{bench.redactor.text(f'{name} = {value}').ljust(min(width, 70))}  # {origin}")


def values(loaded: Loaded) -> Iterator[tuple[Path, Any, str]]:
    """Every value with its origin; what nobody set and has no default is left out."""
    for path, value in leaves(loaded.settings.model_dump(by_alias=True)):
        origin = loaded.origins.get(shown(path), "default")
        if value not in (None, (), {}) or origin != "default":
            yield path, value, origin


def said(path: Path, value: Any) -> str:
    """The value as TOML has it; what may be secret is not shown."""
    if HIDDEN & set(map(str, path)) and not config.WHOLE.fullmatch(str(value)):
        return "(not shown)"
    return literal(value)


def literal(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(map(literal, cast("tuple[Any, ...]", value))) + "]"
    return json.dumps(str(value), ensure_ascii=False)  # TOML quotes text as JSON does
