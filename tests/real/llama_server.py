"""The real llama.cpp server of the wheel `xllamacpp`, as a process of its own.

`python llama_server.py MODEL.gguf PORT chat|embedding`: serves on loopback until SIGTERM.
"""

import importlib
import sys
import threading
from typing import Any

llama: Any = importlib.import_module("xllamacpp")  # a compiled module without types

CONTEXT = 16_384
SLOTS = 2


def parameters(model: str, port: int, *, embedding: bool) -> Any:
    made = llama.CommonParams()
    made.model.path = model
    made.model_alias = {"tiny"}
    made.hostnames = ["127.0.0.1"]
    made.port = port
    made.n_parallel = SLOTS
    made.n_ctx = CONTEXT * SLOTS
    made.cpuparams.n_threads = 1
    made.warmup = False
    made.use_jinja = True
    made.endpoint_slots = True
    if embedding:
        made.embedding = True
        made.pooling_type = llama.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return made


if __name__ == "__main__":
    model, port, kind = sys.argv[1:]
    server = llama.Server(parameters(model, int(port), embedding=kind == "embedding"))
    threading.Event().wait()
