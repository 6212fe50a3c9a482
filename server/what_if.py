"""Where a call would go, asked with the arguments of the tool route_for_task but not through it."""

import json
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from . import asks, results
from .asks import Prefer, Size, Wish
from .desk import Client, Desk
from .errors import BadRequest
from .settings import Need, Privacy

Count = Annotated[int, Field(ge=1, le=1_000_000_000)]


class Question(BaseModel):
    """The arguments of route_for_task."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str | None = None
    model: str | None = None
    provider: str | None = None
    prompt: str = ""
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    needs: tuple[Need, ...] = ()
    prefer: Prefer | None = None
    strategy: str | None = None
    privacy: Privacy = "any"
    max_cost_usd: float | None = None

    @property
    def size(self) -> Size:
        return Size(prompt=self.prompt, tokens=self.input_tokens, cap=self.output_tokens)

    def wish(self) -> Wish:
        """Raises BadRequest."""
        return Wish(
            tool="embed" if "embeddings" in self.needs else "complete",
            task=self.task,
            model=asks.model_name(self.model),
            provider=self.provider,
            prefer=self.prefer,
            strategy=self.strategy,
            privacy=self.privacy,
            max_cost_nano=asks.money(self.max_cost_usd),
            needs=frozenset(self.needs),
        )


def understood(argument: Mapping[str, Any]) -> Question:
    """Raises BadRequest, naming the first argument that is wrong."""
    try:
        return Question.model_validate(argument)
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in wrong["loc"])[:60]
        raise BadRequest(f"{where}: {wrong['msg']}") from None


async def planned(desk: Desk, argument: Mapping[str, Any]) -> dict[str, Any]:
    """The plan a call would execute now, as data. Writes and sends nothing."""
    question = understood(argument)
    client = desk.met or Client(name=desk.client or "unknown")
    plan = await desk.calls.route(question.wish(), question.size, client)
    said = results.routed(plan, await desk.calls.usual_ms()).structured_content
    return json.loads(desk.redactor.text(json.dumps(said)))
