"""A program on a pseudo terminal: what it wrote and when, the CPU time and the memory it used."""

import fcntl
import os
import pty
import struct
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

KEPT = 64  # bytes of what came before, for a word that is cut in two
WAIT_S = 60.0
STOP_S = 10.0

Heard = Callable[[float, bytes], None]


class Program:
    """Started at once, ended at the end of its `with`. `heard(at, text)` is called in a thread for
    every piece of output, with the last bytes of the piece before in front of it; times are of
    time.monotonic, which all processes of a machine share."""

    def __init__(
        self,
        command: Sequence[str],
        environ: Mapping[str, str],
        *,
        size: tuple[int, int] = (120, 36),
        heard: Heard = lambda at, text: None,
    ) -> None:
        self.heard = heard
        self.written = 0
        self._text = bytearray()
        self._came = threading.Condition()
        self._master, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        self.began = time.monotonic()
        self._process = subprocess.Popen(
            command,
            stdin=inner,
            stdout=inner,
            stderr=inner,
            start_new_session=True,
            env={**environ, "TERM": "xterm-256color", "COLORTERM": "truecolor"},
        )
        os.close(inner)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._thread.join(STOP_S)
        os.close(self._master)

    def _listen(self) -> None:
        before = b""
        with suppress(OSError):  # the terminal is gone once its program is
            while piece := os.read(self._master, 65_536):
                at = time.monotonic()
                self.heard(at, before + piece)
                before = (before + piece)[-KEPT:]
                with self._came:
                    self.written += len(piece)
                    self._text += piece
                    del self._text[:-1_000_000]
                    self._came.notify_all()

    def said(self, words: bytes) -> float:
        """Seconds from the start until it wrote these words. Raises TimeoutError."""
        with self._came:
            if not self._came.wait_for(lambda: words in self._text, WAIT_S):
                raise TimeoutError(f"no {words!r} in {bytes(self._text[-2000:])!r}")
        return time.monotonic() - self.began

    def press(self, keys: str) -> None:
        """Forgets what was written so far, so that `said` waits for what comes of it."""
        with self._came:
            self._text.clear()
        os.write(self._master, keys.encode())

    def cpu_s(self) -> float:
        """CPU time of all its threads, to the nanosecond."""
        spent = 0
        for task in Path(f"/proc/{self._process.pid}/task").iterdir():
            spent += int((task / "schedstat").read_text(encoding="ascii").split()[0])
        return spent / 1e9

    def busy(self, seconds: float) -> float:
        """Per cent of one core over this long."""
        before, began = self.cpu_s(), time.monotonic()
        time.sleep(seconds)
        return 100 * (self.cpu_s() - before) / (time.monotonic() - began)

    def resident_mib(self) -> float:
        return self._memory("Rss")

    def own_mib(self) -> float:
        """Without what it shares with others: libraries and files."""
        return self._memory("Private_Clean") + self._memory("Private_Dirty")

    def _memory(self, kind: str) -> float:
        text = Path(f"/proc/{self._process.pid}/smaps_rollup").read_text(encoding="ascii")
        return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(kind)) / (
            1024
        )
