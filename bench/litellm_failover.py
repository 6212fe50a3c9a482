"""litellm.Router through an outage of its primary, in an interpreter of its own; see failover.py.

One argument: a JSON object with `primary`, `fallback` (URLs), `timeout_s`, `router` (settings of
the Router), `requests`, `interval_s`. Prints `ready`; a line with the beginning (seconds of the
monotonic clock) starts the requests. Prints a JSON list of [began, ended, answered] and the times
of every connection to the primary.
"""

import asyncio
import importlib
import json
import os
import sys
import time
from typing import Any
from urllib.parse import urlsplit

MESSAGES = [{"role": "user", "content": "hello"}]


async def call(router: Any, model: str) -> bool:
    try:
        stream = await router.acompletion(model=model, messages=MESSAGES, stream=True)
        text = ""
        async for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    except Exception as error:  # whatever it is, the request was not answered
        sys.stderr.write(f"{type(error).__name__}: {str(error)[:200]}\n")
        return False
    return text.count("word") == 20


def heard(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def scenario(router: Any, given: dict[str, Any], connected: list[float]) -> None:
    for model in ("primary", "fallback"):
        for _ in range(3):
            await call(router, model)
    heard("ready")
    start = float(sys.stdin.readline())
    connected.clear()
    taken: list[tuple[float, float, bool]] = []
    for n in range(given["requests"]):
        due = start + n * given["interval_s"]
        await asyncio.sleep(max(0.0, due - time.monotonic()))
        began = time.monotonic()
        answered = await call(router, "primary")
        taken.append((began, time.monotonic(), answered))
    heard(json.dumps([taken, connected]))


def main() -> None:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    given: dict[str, Any] = json.loads(sys.argv[1])
    litellm = importlib.import_module("litellm")
    connected: list[float] = []
    port = urlsplit(str(given["primary"])).port

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and arguments[1][1:2] == (port,):
            connected.append(time.monotonic())

    sys.addaudithook(watch)
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": "openai/m",
                "api_base": given[name],
                "api_key": "k",
                "timeout": given["timeout_s"],
                "stream_timeout": given["timeout_s"],
            },
        }
        for name in ("primary", "fallback")
    ]
    router = litellm.Router(
        model_list=models, fallbacks=[{"primary": ["fallback"]}], **given["router"]
    )
    asyncio.run(scenario(router, given, connected))


if __name__ == "__main__":
    main()
