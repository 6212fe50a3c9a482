"""What can be done in the view of the providers."""

from .actions import Action

EDITS = frozenset(["add", "edit", "remove", "toggle", "earlier", "later", "multiplier", "key"])
ACTIONS = (
    Action(
        name="toggle",
        key="space",
        title="Switch on or off",
        word="on/off",
        needs_row=True,
        steers=True,
    ),
    Action(
        name="test",
        key="T",
        title="Test the connection in a server, free of charge",
        word="test",
        needs_row=True,
        steers=True,
    ),
    Action(name="edit", key="E", title="Edit", word="edit", needs_row=True, steers=True),
    Action(name="add", key="a", title="Add a provider", word="add", steers=True),
    Action(name="key", key="K", title="Enter its key", word="key", needs_row=True, steers=True),
    Action(
        name="earlier",
        key="plus",
        title="Try it earlier (priority)",
        word="- priority",
        needs_row=True,
        steers=True,
    ),
    Action(
        name="later",
        key="minus",
        title="Try it later (priority)",
        needs_row=True,
        steers=True,
    ),
    Action(name="what_if", key="w", title="Where would a call go", word="what-if", steers=True),
    Action(
        name="unload",
        key="u",
        title="Free the memory of a local model",
        word="unload",
        needs_row=True,
        steers=True,
    ),
    Action(
        name="multiplier",
        key="m",
        title="Set the cost multiplier",
        needs_row=True,
        steers=True,
    ),
    Action(
        name="test_call",
        key="t",
        title="Test with a call of one token, which may cost something",
        needs_row=True,
        steers=True,
    ),
    Action(name="remove", key="d", title="Remove", needs_row=True, steers=True),
)
