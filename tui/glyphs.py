"""The signs of the interface, one cell wide each, their tones, and their ASCII stand-ins.

A sign never stands alone: a word says the same beside it. Everything is drawn with these; with
`--ascii` the finished line is translated.
"""

RUNNING = "▶"
RETRY = "↻"
OK = "✓"
FAILED = "✗"
LOST = "◌"
OPEN = "⊘"
HALF = "◐"
HELD = "■"
ALIVE = "●"
NONE = "○"
UNKNOWN = "?"
LOOK = "!"
IDLE = "–"
WAITING = "▒"
STREAMING = "▓"
PAUSE = "░"
SPENT = "█"
MARK = "▕"
CAME_FROM = "←"
LEVELS = "▁▂▃▄▅▆▇█"

TONES = {
    RUNNING: "busy",
    RETRY: "warn",
    OK: "ok",
    FAILED: "err",
    LOST: "dim",
    OPEN: "err",
    HALF: "warn",
    HELD: "warn",
    ALIVE: "ok",
    NONE: "dim",
}
PLAIN = str.maketrans(
    f"{RUNNING}{RETRY}{OK}{FAILED}{LOST}{OPEN}{HALF}{HELD}{ALIVE}{NONE}{IDLE}"
    f"{WAITING}{STREAMING}{PAUSE}{MARK}{LEVELS}·←×─…—≈→↑↓",
    ">R+xo#%=*o-:=.|_.-=+*##-<x-~-~>^v",
)


def in_ascii(text: str) -> str:
    """Our own signs by their stand-ins, every other stranger as a question mark."""
    if text.isascii():
        return text
    return text.translate(PLAIN).encode("ascii", "replace").decode("ascii")
