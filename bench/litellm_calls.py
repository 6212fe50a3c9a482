"""litellm.Router making the same calls, in an interpreter of its own: URL CALLS ROUNDS.

Prints `ready`, then after each line on stdin the milliseconds of CPU per call of one round.
"""

import asyncio
import importlib
import os
import sys
import time
from typing import Any

MESSAGES = [{"role": "user", "content": "hello"}]


async def call(router: Any) -> None:
    stream = await router.acompletion(model="m", messages=MESSAGES, stream=True)
    text = ""
    async for chunk in stream:
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert text.count("word") == 20


def heard(line: object) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


async def rounds(router: Any, calls: int, count: int) -> None:
    for _ in range(20):
        await call(router)
    heard("ready")
    for _ in range(count):
        sys.stdin.readline()
        begun = time.process_time()
        for _ in range(calls):
            await call(router)
        heard((time.process_time() - begun) / calls * 1000)


def main() -> None:
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
    litellm = importlib.import_module("litellm")
    url, calls, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    params = {"model": "openai/m", "api_base": url, "api_key": "k"}
    router = litellm.Router(model_list=[{"model_name": "m", "litellm_params": params}])
    asyncio.run(rounds(router, calls, count))


if __name__ == "__main__":
    main()
