"""The arguments of the tools: their types, bounds and descriptions, as every agent reads them."""

from typing import Annotated, Any, Literal

from pydantic import Field
from pydantic.json_schema import SkipJsonSchema

from .asks import Prefer
from .settings import Privacy

Nothing = SkipJsonSchema[None]
Text = str | Nothing
Texts = list[str] | Nothing
Objects = list[dict[str, Any]] | Nothing
Count = Annotated[int, Field(ge=1)] | Nothing
Amount = Annotated[float, Field(ge=0)] | Nothing
Seconds = Annotated[float, Field(gt=0, le=3600)] | Nothing
Need = Literal["images", "tools", "schema", "embeddings"]
Group = Literal["provider", "model", "task", "client", "project", "day", "hour", "status"]

Task = Annotated[Text, Field(description="Kind of work, e.g. code, chat, summarization, private")]
Model = Annotated[Text, Field(description="provider/model, a model id, or an alias")]
Provider = Annotated[Text, Field(description="Only this provider")]
Hint = Annotated[Prefer | Nothing, Field(description="What matters most")]
Strategy = Annotated[Text, Field(description="Overrides the configured order of providers")]
Secrecy = Annotated[
    Privacy, Field(description="local: never leaves this machine. no_retention: not kept there")
]
MaxCost = Annotated[Amount, Field(description="Refuse what may cost more, in USD")]
