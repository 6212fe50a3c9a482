"""A loopback stand-in for Ollama: it lists its models, holds some in memory and drops them."""

import json
from dataclasses import dataclass, field
from typing import Any

from upstream import Request, Send, answer

GB = 1_000_000_000


@dataclass(slots=True)
class Program:
    """`loaded` pairs the models in memory with the bytes they take; `drops`: it does as told."""

    loaded: dict[str, int] = field(default_factory=lambda: {"qwen:8b": 5 * GB})
    models: tuple[str, ...] = ("qwen:8b", "phi:3b")
    drops: bool = True

    async def script(self, request: Request, send: Send) -> None:
        """For `upstream(..., gets=True)`."""
        await answer(json.dumps(self.said(request)))(request, send)

    def said(self, request: Request) -> dict[str, Any]:
        match request.path.partition("?")[0]:
            case "/api/tags":
                return {"models": [{"name": name} for name in self.models]}
            case "/api/ps":
                held = self.loaded.items()
                return {"models": [{"name": name, "size": size} for name, size in held]}
            case "/api/generate" if self.drops:
                self.loaded.pop(request.json["model"], None)
                return {}
            case _:
                return {"object": "list", "data": []}
