"""A child process that does not outlive us, however we end: where the kernel can see to that."""

import os
import signal
import sys
from collections.abc import Callable

PR_SET_PDEATHSIG = 1

if sys.platform == "linux":
    import ctypes

    LIBC = ctypes.CDLL(None)

    def leashed(keeper: int) -> Callable[[], None] | None:
        """To be run in the child before it becomes another program."""

        def tie() -> None:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != keeper:  # it ended before it could be heard
                os._exit(1)

        return tie

else:

    def leashed(keeper: int) -> Callable[[], None] | None:
        return None
