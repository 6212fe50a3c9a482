"""The dialogs every view has: which columns, what to copy, where to export to."""

import threading
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, cast

from . import taking
from .dialogs import NO, YES, Field, Form, Values
from .menu import Menu, Option
from .messages import Copied
from .rows import Column
from .watching import watching_of

if TYPE_CHECKING:
    from .view import View

COPIES = (
    Option(name="id", key="i", label="its id"),
    Option(name="row", key="r", label="the row, cells with tabs between"),
    Option(name="json", key="j", label="the row as JSON"),
    Option(name="detail", key="d", label="its detail as shown"),
)


def choose_columns(view: "View", every: tuple[Column, ...]) -> None:
    watching = watching_of(view)
    shown = {column.key for column in view.shown[0]}
    fields = [
        Field(
            name=column.key,
            label=column.title,
            kind="flag",
            value=YES if column.key in shown else NO,
        )
        for column in every
    ]

    def check(values: Values) -> str:
        return "" if YES in values.values() else "one column has to stay"

    def chosen(values: Values | None) -> None:
        if values is not None:
            keys = tuple(key for key, value in values.items() if value == YES)
            watching.columns[view.NAME] = keys
            view.show()

    form = Form(f"Columns of {view.NAME}", fields, check=check, done="Show these")
    watching.push_screen(form, chosen)


def copy(view: "View", key: str) -> None:
    """Asks what of the row, then copies it to the terminal's and the machine's clipboard."""

    def chosen(name: str | None) -> None:
        if name:
            take(view, f"{name} of {key}", text_of(view, key, name))

    watching_of(view).push_screen(Menu("Copy", COPIES), chosen)


def text_of(view: "View", key: str, name: str) -> str:
    columns, contents = view.shown
    if contents is None or key not in contents.keys:
        return key
    index = contents.keys.index(key)
    match name:
        case "row":
            return "\t".join(contents.row_at(index).cells)
        case "json":
            return taking.as_json(taking.record(contents, columns, index))
        case "detail":
            return "\n".join(view.detail(key, watching_of(view).look(), 100))
        case _:
            return key


def take(view: "View", what: str, text: str) -> None:
    watching = watching_of(view)
    watching.copy_to_clipboard(text)

    def run() -> None:
        watching.post_message(Copied(taking.copied(what, taking.copy_by_program(text))))

    threading.Thread(target=run, name="copy", daemon=True).start()


def export(view: "View") -> None:
    """All rows the filter shows, into a new file its user names."""
    watching = watching_of(view)
    columns, contents = view.shown
    rows = taking.records(contents, columns) if contents is not None else []
    at = datetime.fromtimestamp(watching.look().now, watching.zone)
    name = f"roundhouse-{view.NAME}-{at:%Y%m%d-%H%M%S}"
    fields = (
        Field(name="path", label="File", value=f"{name}.csv", hint="in the folder you are in"),
        Field(name="form", label="Format", kind="choice", choices=("csv", "jsonl"), value="csv"),
    )

    def save(values: Values) -> str:
        if not values["path"]:
            return "name a file"
        form = cast("taking.Form", values["form"])
        return taking.export(named(values["path"], form), form, rows)

    def saved(values: Values | None) -> None:
        if values is not None:
            form = cast("taking.Form", values["form"])
            watching.say(f"wrote {len(rows):,} rows to {named(values['path'], form)}")

    title = f"Export {len(rows):,} rows of {view.NAME}"
    watching.push_screen(Form(title, fields, save=save, done="Write"), saved)


def named(path: str, form: taking.Form) -> Path:
    """The path, its ending that of the format if it had the other's."""
    found = Path(path)
    return found.with_suffix(f".{form}") if found.suffix in (".csv", ".jsonl") else found
