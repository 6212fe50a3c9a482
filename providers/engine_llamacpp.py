"""llama.cpp's own HTTP server from the wheel `xllamacpp`, as a process of its own.

`python -m ….engine_llamacpp MODEL.gguf --alias NAME --port PORT`: serves on loopback until it is
ended; the token it demands is in ROUNDHOUSE_ENGINE_TOKEN. What goes wrong is in its own words on
stderr.
"""

import argparse
import importlib
import os
import sys
import threading
from typing import Any

from .engines import TOKEN_ENV

FAILED = 3
CONTEXT = 16_384  # of a model nobody said more of: its own may need more memory than there is
PROMPTS_MIB = 256  # of old prompts kept; it would take gigabytes


def threads() -> int:
    """Half the cores: its threads wait for each other, so where others work as well one for every
    core is twenty times slower. On macOS it knows the cores that are meant for this."""
    return -1 if sys.platform == "darwin" else max(1, (os.cpu_count() or 2) // 2)


def arguments(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="engine_llamacpp")
    parser.add_argument("model")
    parser.add_argument("--alias", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--slots", type=int, default=2)
    parser.add_argument("--context", type=int, default=0, help="tokens a call may have")
    parser.add_argument("--embeddings", action="store_true")
    parser.add_argument("--threads", type=int, default=threads())
    parser.add_argument("--gpu-layers", type=int, default=-1)
    return parser.parse_args(words)


def parameters(llama: Any, said: argparse.Namespace, token: str) -> Any:
    made = llama.CommonParams()
    made.model.path = said.model
    made.model_alias = {said.alias}
    made.hostnames = ["127.0.0.1"]
    made.port = said.port
    made.api_keys = [token] if token else []
    made.n_parallel = said.slots
    made.n_ctx = said.context * said.slots or CONTEXT
    made.kv_unified = not said.context  # what nobody asked for is shared by the slots
    made.cache_ram_mib = PROMPTS_MIB
    made.cpuparams.n_threads = said.threads
    made.n_gpu_layers = said.gpu_layers
    made.use_jinja = True
    made.warmup = False
    made.ui = False
    made.offline = True
    if said.embeddings:
        made.embedding = True
        made.pooling_type = llama.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    return made


def serve(words: list[str]) -> int:
    said = arguments(words)
    token = os.environ.pop(TOKEN_ENV, "")
    llama = importlib.import_module("xllamacpp")  # a compiled module without types
    try:
        server = llama.Server(parameters(llama, said, token))
    except RuntimeError:
        return FAILED  # it has said why
    threading.Event().wait()
    del server
    return 0


if __name__ == "__main__":
    sys.exit(serve(sys.argv[1:]))
