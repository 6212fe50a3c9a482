"""What can be changed of a provider, as forms, and how the answers reach the user's files.

Each `save` runs in a thread and says in one sentence what is wrong, or ""; then nothing has
changed. The modules that edit are loaded with the first change.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from typing import Any

from ..server.errors import ConfigError, Declined
from ..server.home import Home
from .dialogs import Field, Form, Values
from .services import Service

OWN = "a server of your own"
PLAIN = ("priority", "cost_multiplier", "base_url", "models", "use_for", "rpm", "tpm")
LABELS = {
    "priority": "Priority",
    "cost_multiplier": "Cost multiplier",
    "base_url": "Address",
    "models": "Models",
    "use_for": "Tasks",
    "rpm": "Requests per min",
    "tpm": "Tokens per min",
}
HINTS = {
    "priority": "1 is tried first; empty is last",
    "models": "with commas; the first one runs when only the provider is named",
}
ORDINAL = 99_999


def attempted(change: Callable[[], None]) -> str:
    """Why it could not be done, or ""."""
    try:
        change()
    except (ConfigError, Declined) as error:
        return str(error)
    except OSError as error:
        return f"a file could not be used: {error.strerror}"
    return ""


def change(home: Home, environ: Mapping[str, str], name: str, values: Mapping[str, Any]) -> str:
    def edit() -> None:
        from ..server.edits import providers as edits

        edits.change_provider(home, environ, name, values)

    return attempted(edit)


def remove(home: Home, environ: Mapping[str, str], name: str) -> str:
    def edit() -> None:
        from ..server.edits import providers as edits

        edits.remove_provider(home, environ, name)

    return attempted(edit)


def key_form(home: Home, environ: Mapping[str, str], name: str) -> Form:
    """The key is typed unseen and goes into keys.toml, which nobody else can read."""
    field = Field(
        name="key",
        label="Key",
        kind="secret",
        hint=f"goes into {home.keys.name}, readable by you alone",
        check=wrong_key,
    )

    def save(values: Values) -> str:
        return keep_key(home, environ, name, values["key"])

    return Form(f"Key of {name}", [field], save=save)


def wrong_key(value: str) -> str:
    from ..server.edits import keys

    return keys.wrong_with(value)


def keep_key(home: Home, environ: Mapping[str, str], name: str, value: str) -> str:
    def edit() -> None:
        from ..server.edits import keys

        keys.set_key(home, environ, name, value)

    return attempted(edit)


def multiplier_form(home: Home, environ: Mapping[str, str], service: Service) -> Form:
    field = Field(
        name="cost_multiplier",
        label=LABELS["cost_multiplier"],
        value=service.said.cost_multiplier,
        hint="0.8 where you pay a fifth less than the list prices",
        check=wrong_multiplier,
    )

    def save(values: Values) -> str:
        return change(home, environ, service.name, typed(values))

    return Form(f"Cost of {service.name}", [field], save=save)


def wrong_multiplier(value: str) -> str:
    try:
        number = Decimal(value or "1")
    except InvalidOperation:
        number = Decimal(-1)
    return "" if number.is_finite() and number >= 0 else "a number like 0.8"


def edit_form(home: Home, environ: Mapping[str, str], name: str) -> Form:
    """Holds what the file says now. Raises ConfigError for a file that cannot be read."""
    from ..server.edits import providers as edits

    said = edits.said_of(home, name)
    before = {key: shown(said.get(key)) for key in PLAIN}
    before["enabled"] = "no" if said.get("enabled") is False else "yes"
    rest = [
        Field(name=key, label=LABELS[key], value=before[key], hint=HINTS.get(key, ""))
        for key in PLAIN
    ]

    def save(values: Values) -> str:
        changed = {key: value for key, value in values.items() if value != before[key]}
        return change(home, environ, name, typed(changed)) if changed else ""

    switch = Field(name="enabled", label="On", kind="flag", value=before["enabled"])
    return Form(f"Provider {name}", [switch, *rest], save=save)


def shown(value: object) -> str:
    """A value of the file, as it is typed in."""
    if value is None:
        return ""
    if isinstance(value, list):
        return ", ".join(map(str, value))  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    return str(value)


def typed(values: Values) -> dict[str, Any]:
    """As the file wants it; what is empty is removed from it."""
    from ..server.edits import providers as edits

    said: dict[str, Any] = {}
    for key, value in values.items():
        if key in ("enabled", "local"):
            said[key] = value == "yes"
        elif key in ("base_url", "wire", "like"):
            said[key] = value or None
        else:
            said[key] = edits.typed(key, value)
    return said


def add_form(home: Home, environ: Mapping[str, str], unused: Sequence[str]) -> Form:
    """For a service nothing is said of yet, another account of one, or a server of one's own."""
    from ..server.edits import providers as edits

    shipped, wires = edits.kinds()
    choices = [*unused, OWN, *(name for name in shipped if name not in unused)]
    chat = "openai_chat"
    fields = [
        Field(name="service", label="Service", kind="choice", choices=choices, value=choices[0]),
        Field(name="name", label="Name", hint="empty: that of the service"),
        Field(name="base_url", label="Address", hint="only for a server of your own"),
        Field(name="wire", label="It speaks", kind="choice", choices=wires, value=chat),
        Field(name="local", label="On this machine", kind="flag", value="no"),
        Field(name="models", label="Models", hint="with commas; may stay empty"),
        Field(
            name="key",
            label="Key",
            kind="secret",
            hint=f"goes into {home.keys.name}; empty where a variable holds it",
            check=lambda value: wrong_key(value) if value else "",
        ),
    ]

    def save(values: Values) -> str:
        return add(home, environ, values)

    return Form("Add a provider", fields, check=wrong_addition, save=save, done="Add")


def wrong_addition(values: Values) -> str:
    if values["service"] == OWN and not (values["name"] and values["base_url"]):
        return "a server of your own needs a name and an address"
    return ""


def add(home: Home, environ: Mapping[str, str], values: Values) -> str:
    """First the section, then the key."""
    from ..server.edits import providers as edits

    service = values["service"]
    name = values["name"] or service
    asked = typed({key: values[key] for key in ("base_url", "models") if values[key]})

    def edit() -> None:
        if service == OWN:
            own = {"wire": values["wire"], "local": values["local"] == "yes" or None}
            edits.add_provider(home, environ, name, {**own, **asked})
        elif name == service:
            edits.change_provider(home, environ, name, {"enabled": True, **asked})
        else:
            edits.add_provider(home, environ, name, {"like": service, **asked})

    return attempted(edit) or (
        keep_key(home, environ, name, values["key"]) if values["key"] else ""
    )


def unload_form(service: Service) -> Form:
    """Which of the models in memory, and whether calls that use it are cancelled for it."""
    names = [name for name, _ in service.facts.loaded]
    fields = [
        Field(name="model", label="Model", kind="choice", choices=names, value=names[0]),
        Field(
            name="force",
            label="Even in use",
            kind="flag",
            value="no",
            hint="yes cancels calls that still use it",
        ),
    ]
    return Form(f"Free the memory of {service.name}", fields, done="Unload")


def stepped(service: Service, others: Sequence[Service], by: int) -> int | None:
    """The priority after a step to the front (-1) or to the back (1); None: it cannot go there.
    Without one a provider comes last, and a step to the front puts it behind those that have
    one."""
    mine = service.said.priority
    if mine is None:
        known = [one.said.priority for one in others if one.said.priority is not None]
        return max(known, default=0) + 1 if by < 0 else None
    after = mine + by
    return after if 1 <= after <= ORDINAL else None
