"""From config.toml and the environment to Settings. Every error names file, key and fix.

The file first, with `${VARIABLE}` and `${VARIABLE:-default}` filled in, then variables named
ROUNDHOUSE_<SECTION>__<KEY> over it. No file means defaults: a key variable alone is enough.
"""

import hashlib
import os
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path as FilePath
from typing import Any, cast, get_args, get_origin

from pydantic import BaseModel, ValidationError

from ..providers import catalog
from . import environment
from .checks import Wrong, check
from .errors import ConfigError
from .home import Home
from .lines import Path, leaves, line_of, lines, shown
from .settings import Settings

REFERENCE = re.compile(r"\$(\$)?\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^{}]*))?\}")
WHOLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
QUOTED = (100, 80, 60, 40)  # characters of a wrong value that a complaint repeats
SHORTEST = 8
HIDDEN = {"api_key", "headers", "proxy"}

# Other programs' words for what we have.
ELSEWHERE = {
    "model": "models",
    "text_model": "models",
    "embed_model": "embedding_model",
    "url": "base_url",
    "api_base": "base_url",
    "endpoint": "base_url",
    "provider_chain": "routing.chain",
    "fallback": "routing.chain",
    "llm": "providers",
    "timeout": "timeout_s",
    "type": "wire",
    "tasks": "routing.tasks",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """`origins` says for every key that was set where: `config.toml line 12`, or the variable.
    `hash` is the same for the same settings; keys have no part in it."""

    settings: Settings
    origins: Mapping[str, str]
    hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What was read, for saying where a mistake is. `filled_in` are the variables whose values
    the file took, which may be keys in a wrong place."""

    file: FilePath
    data: Mapping[str, Any]
    lines: Mapping[Path, int]
    variables: Mapping[Path, str]
    filled_in: Mapping[str, str] = field(default_factory=dict[str, str])

    def hidden(self, problem: str) -> str:
        """The problem without the values of variables, also where it quotes only their start."""
        for name, value in self.filled_in.items():
            for part in sorted({value, *(value[:cut] for cut in QUOTED)}, key=len, reverse=True):
                problem = problem.replace(part, f"${{{name}}}")
        return problem

    def origin(self, path: Path) -> str:
        """`PATH line 4` or `ROUNDHOUSE_…`, whichever set this key or the table around it."""
        for end in range(len(path), 0, -1):
            if path[:end] in self.variables:
                return self.variables[path[:end]]
        line = line_of(path, self.lines)
        return f"{self.file} line {line}" if line else str(self.file)


def load(home: Home, environ: Mapping[str, str]) -> Loaded:
    """Raises ConfigError."""
    return understood(read(home.config), home.config, environ)


def understood(text: str, file: FilePath, environ: Mapping[str, str]) -> Loaded:
    """What the text of `file` means. Raises ConfigError."""
    raw = parse(file, text)
    filled = {key: fill(value, (key,), file, environ) for key, value in raw.items()}
    known = {*catalog.shipped_rows(), *table(filled, "providers")}
    merged, variables = environment.overlaid(filled, environ, known)
    source = Source(
        file=file,
        data=merged,
        lines=lines(text) if text else {},
        variables=variables,
        filled_in=filled_in(text, environ),
    )
    data = shortened(merged)
    settings = validated(data, source)
    return Loaded(
        settings=settings,
        origins={
            shown(path): short_origin(source, path)
            for path, value in leaves(data)
            if not isinstance(value, Mapping)
        },
        hash=hashlib.sha256(settings.model_dump_json().encode()).hexdigest()[:16],
    )


def short_origin(source: Source, path: Path) -> str:
    return source.origin(path).replace(str(source.file), source.file.name)


def read(file: FilePath) -> str:
    """The text of the file, "" where there is none."""
    try:
        mode = file.stat().st_mode
        if os.name == "posix" and mode & 0o022:
            raise ConfigError(
                f"{file} can be written by other users (mode {mode & 0o777:o}), who could send "
                f"your keys elsewhere; run: chmod go-w {file}"
            )
        return file.read_text(encoding="utf-8-sig")
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except UnicodeDecodeError as error:
        raise ConfigError(f"{file} is not UTF-8 text (byte {error.start}); save it so.") from None
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror or error}.") from None


def parse(file: FilePath, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text, parse_float=Decimal) if text else {}
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{file} is not valid TOML: {error}; correct that line.") from None
    except (RecursionError, ArithmeticError):
        raise ConfigError(f"{file} is not valid TOML: it nests or counts too far.") from None


def fill(value: Any, path: Path, file: FilePath, environ: Mapping[str, str]) -> Any:
    """The value with every `${VARIABLE}` in it replaced; an api_key stays a reference."""
    if isinstance(value, dict):
        tables = cast("dict[str, Any]", value)
        return {key: fill(inner, (*path, key), file, environ) for key, inner in tables.items()}
    if isinstance(value, list):
        items = cast("list[Any]", value)
        return [fill(inner, (*path, n), file, environ) for n, inner in enumerate(items)]
    if not isinstance(value, str) or path[-1] == "api_key":
        return value

    def one(match: re.Match[str]) -> str:
        escaped, name, default = match.groups()
        if escaped:
            return match[0][1:]
        found = environ.get(name, "") or default
        if found is None:
            raise ConfigError(
                f"{file}: {shown(path)} needs the environment variable {name}, which is not set; "
                f"set it, or write ${{{name}:-default}}."
            )
        return found

    return REFERENCE.sub(one, value)


def filled_in(text: str, environ: Mapping[str, str]) -> Mapping[str, str]:
    """The variables the text refers to, and their values, if these could be secrets."""
    named = {match[2] for match in REFERENCE.finditer(text)}
    return {name: environ[name] for name in named if len(environ.get(name, "")) >= SHORTEST}


def table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = data.get(name)
    return cast("Mapping[str, Any]", found) if isinstance(found, Mapping) else {}


def shortened(data: Mapping[str, Any]) -> dict[str, Any]:
    """Tasks may be written as their models alone: `code = "openai/gpt-5"`, or a list of them."""

    def task(said: Any) -> Any:
        return {"models": [said] if isinstance(said, str) else said} if listed(said) else said

    tasks = table(table(data, "routing"), "tasks")
    if not tasks:
        return dict(data)
    routing = {**table(data, "routing"), "tasks": {n: task(said) for n, said in tasks.items()}}
    return {**data, "routing": routing}


def listed(value: Any) -> bool:
    return isinstance(value, str | list)


def validated(data: Mapping[str, Any], source: Source) -> Settings:
    try:
        check_keys(data)
        settings = Settings.model_validate(data)
        check(settings)
    except ValidationError as error:
        path, problem = explained(cast("Sequence[Mapping[str, Any]]", error.errors()), source.data)
    except Wrong as wrong:
        path, problem = wrong.path, wrong.problem
    else:
        return settings
    problem = source.hidden(problem)
    end = "" if problem.endswith("?") else "."
    raise ConfigError(f"{source.origin(path)}: {shown(path)}: {problem}{end}") from None


def check_keys(data: Mapping[str, Any]) -> None:
    """Refuses keys written into the file, before any other message could quote one."""
    for name, row in table(data, "providers").items():
        said = cast("Mapping[str, Any]", row).get("api_key") if isinstance(row, Mapping) else None
        if said is not None and not (isinstance(said, str) and WHOLE.fullmatch(said)):
            raise Wrong(
                ("providers", name, "api_key"),
                f"it must be a whole ${{VARIABLE}}, keys are not kept in this file; remove the "
                f"line and run: roundhouse keys set {name}",
            )


def explained(errors: Sequence[Mapping[str, Any]], data: Mapping[str, Any]) -> tuple[Path, str]:
    """The first mistake pydantic found, in words for whoever wrote the file."""
    first = errors[0]
    path, value = within(first["loc"], data)
    kind: str = first["type"]
    hidden = bool(HIDDEN & set(map(str, path))) or not scalar(value)
    said = "" if hidden else f", not {literal(value)}"
    match kind:
        case "tuple_type" if path == ("budgets",):
            return path, "every budget begins with a line [[budgets]]"
        case "extra_forbidden":
            return path, unknown(path)
        case "missing":
            return (*path, str(first["loc"][-1])), "it is missing"
        case "literal_error":
            return path, f"it must be one of {first['ctx']['expected']}{said}"
        case "string_pattern_mismatch":
            return (
                path,
                f"it must be global, provider:X, model:X, task:X, client:X or project:X{said}",
            )
        case _:
            return path, f"it must be {WANTED.get(kind, words(first['msg']))}{said}"


WANTED = {
    "string_type": "text in quotes",
    "tuple_type": 'a list like ["a", "b"]',
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "float_type": "a number",
    "decimal_parsing": 'an amount like "10.00"',
    "decimal_type": 'an amount like "10.00"',
    "model_type": "a table",
    "dict_type": "a table",
}


def words(message: str) -> str:
    for start in ("Input should be ", "Value should be "):
        message = message.removeprefix(start)
    return message[:1].lower() + message[1:]


def literal(value: str | int | float | Decimal) -> str:
    """As it is written in TOML, more or less."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value[:60]) if isinstance(value, str) else str(value)[:60]


def scalar(value: Any) -> bool:
    return isinstance(value, str | int | float | Decimal)


def within(loc: Sequence[str | int], data: Any) -> tuple[Path, Any]:
    """The part of pydantic's location that exists in the data, and the value there."""
    path: Path = ()
    for part in loc:
        try:
            data = data[part]
        except (KeyError, IndexError, TypeError):
            break
        path = (*path, part)
    return path, data


def unknown(path: Path) -> str:
    """There is no such key; which one is meant?"""
    name = str(path[-1])
    model = model_at(path[:-1])
    names = [f.alias or key for key, f in model.model_fields.items()] if model else []
    close = get_close_matches(name, names, 1, 0.7)
    meant = close[0] if close else ELSEWHERE.get(name)
    hint = f"; did you mean {meant}?" if meant else f"; there are {', '.join(sorted(names))}"
    return f"there is no such key here{hint}"


def model_at(path: Path) -> type[BaseModel] | None:
    """The settings class of the table at `path`."""
    kind: object = Settings
    for part in path:
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            fields = {f.alias or key: f.annotation for key, f in kind.model_fields.items()}
            kind = fields.get(str(part))
        elif arguments := get_args(kind):  # dict[str, X] or tuple[X, ...]
            kind = arguments[1] if get_origin(kind) is dict else arguments[0]
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None
