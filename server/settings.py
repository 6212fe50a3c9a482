"""What a user may set: the shapes of config.toml. Loading and error messages are in config.py."""

import re
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

Privacy = Literal["any", "no_retention", "local"]
Period = Literal["day", "week", "month", "total"]
AtLimit = Literal["refuse", "cheapest", "local", "ask"]
Reserve = Literal["bound", "expected"]
Need = Literal["images", "tools", "schema", "embeddings", "json", "vision"]

LENGTH = re.compile(r"(-?\d+(?:\.\d+)?)(|s|m|h|d)")
UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
STRATEGIES = (  # made in strategies.py
    "priority",
    "round_robin",
    "random",
    "cheapest",
    "fastest",
    "best",
    "local_first",
    "cloud_first",
    "balanced",
    "least_busy",
)
OTHER_NAMES = {  # of strategies, as other programs call them
    "fallback": "priority",
    "round-robin": "round_robin",
    "cost-optimized": "cheapest",
    "cost_optimized": "cheapest",
    "quality": "best",
    "speed": "fastest",
    "least-busy": "least_busy",
    "local-first": "local_first",
    "cloud-first": "cloud_first",
}


def exact(value: Any) -> Any:
    """Money as a decimal string or number; TOML floats arrive here as Decimal already."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return Decimal(str(value)) if number else value


Money = Annotated[Decimal, BeforeValidator(exact), Field(ge=0, max_digits=18)]


def seconds(value: Any) -> Any:
    """A length of time: seconds, or `30s`, `10m`, `2h`; `forever` is -1."""
    if not isinstance(value, str):
        return value
    if value.strip().lower() == "forever":
        return -1.0
    found = LENGTH.fullmatch(value.strip().lower())
    if found is None:
        raise ValueError('a length of time like "10m", 600 or "forever"')
    return float(found[1]) * UNITS_S[found[2]]


KeepAlive = Annotated[float, BeforeValidator(seconds)]


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TaskSettings(Section):
    """One task: which models first, which privacy, what it needs. A bare string or a list names
    its models."""

    models: tuple[str, ...] = ()
    only: bool = False
    strategy: str | None = None
    privacy: Privacy = "any"
    needs: tuple[Need, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def models_alone(cls, value: object) -> object:
        if isinstance(value, str):
            return {"models": [value]}
        return {"models": value} if isinstance(value, list) else value  # pyright: ignore[reportUnknownVariableType]


class WhenSettings(Section):
    """The shape of the calls a rule is for: estimated input tokens, and what they need."""

    min_input_tokens: Annotated[int, Field(ge=0)] = 0
    max_input_tokens: Annotated[int, Field(ge=0)] | None = None
    needs: tuple[Need, ...] = ()


class RuleSettings(Section):
    """The models for calls of a shape that name neither task nor model; the first rule counts."""

    when: WhenSettings = WhenSettings()
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    only: bool = False


class RoutingSettings(Section):
    strategy: str = "priority"
    chain: tuple[str, ...] = ()
    fallback: bool = True
    privacy: Privacy = "any"
    tasks: dict[str, TaskSettings] = {}
    rules: tuple[RuleSettings, ...] = ()
    aliases: dict[str, str | tuple[str, ...]] = {}
    allow_unpriced: bool = False


class ModelSettings(Section):
    """Facts of a model the user knows better than the catalogue."""

    context: int | None = None
    max_output: int | None = None
    tools: bool | None = None
    vision: bool | None = None
    json_: bool | None = Field(default=None, alias="json")
    reasoning: bool | None = None
    sampling: bool | None = None
    embeddings: bool | None = None
    dimensions: tuple[int, ...] = ()
    quality: int | None = None
    keep_alive: KeepAlive | None = None


class DefaultsSettings(Section):
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: float | None = None


PROGRAM_KEYS = frozenset({"keep_alive", "allow_pull"})  # of programs that understand them
ENGINE_KEYS = frozenset(
    {
        *("engine", "model", "context", "command", "arguments", "embeddings"),
        *("idle_s", "start_timeout_s", "allow_download"),
    }
)


class ProviderSettings(Section):
    """A row of the user's: changes a shipped provider, or adds one (`wire` + `base_url`, or
    `like = "openai"` for a second account of a known one, or `engine` + `model` for an engine that
    we start, to which ENGINE_KEYS belong)."""

    enabled: bool = True
    like: str | None = None
    wire: str | None = None
    embed_wire: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    key_env: str | tuple[str, ...] | None = None
    key_command: str | tuple[str, ...] | None = None
    auth: Literal["bearer", "api-key", "x-api-key", "x-goog-api-key", "aws", "none"] | None = None
    local: bool | None = None
    headers: dict[str, str] = {}
    path: str | None = None
    responses_path: str | None = None
    embed_path: str | None = None
    query: dict[str, str] = {}
    priority: int | None = None
    weight: Annotated[float, Field(gt=0)] = 1.0
    rpm: Annotated[int, Field(ge=1)] | None = None
    tpm: Annotated[int, Field(ge=1)] | None = None
    rpd: Annotated[int, Field(ge=1)] | None = None
    models: tuple[str, ...] = ()
    default: str | None = None
    embedding_model: str | None = None
    facts: dict[str, ModelSettings] = {}
    defaults: DefaultsSettings = DefaultsSettings()
    use_for: tuple[str, ...] = ()
    cost_multiplier: Annotated[Decimal, BeforeValidator(exact), Field(ge=0)] = Decimal(1)
    capabilities: tuple[str, ...] | None = None
    retention: str | None = None
    max_tokens_field: str | None = None
    drop: tuple[str, ...] = ()
    stream_usage: bool | None = None
    organization: str | None = None
    api_version: str | None = None
    deployments: dict[str, str] = {}
    region: str | None = None
    timeout_s: Annotated[float, Field(gt=0)] | None = None
    concurrency: Annotated[int, Field(ge=1)] | None = None
    keep_alive: KeepAlive | None = None
    allow_pull: bool | None = None
    check_memory: bool | None = None
    engine: Literal["llamacpp", "mlx", "transformers", "command"] | None = None
    model: str | None = None
    context: Annotated[int, Field(ge=1)] | None = None
    embeddings: bool = False
    idle_s: Annotated[float, Field(gt=0)] = 600.0
    start_timeout_s: Annotated[float, Field(gt=0)] = 300.0
    allow_download: bool = False
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()


class BudgetSettings(Section):
    scope: Annotated[str, Field(pattern=r"^(global|(provider|model|task|client|project):.+)$")]
    period: Period = "day"
    limit_usd: Money
    warn_at: Annotated[float, Field(gt=0, le=1)] = 0.8
    at_limit: AtLimit = "refuse"
    reserve: Reserve = "bound"


class ClientSettings(Section):
    """What one client may do, or the clients of one project together. A client's name is what it
    calls itself, or its `--client`, a project's its directory; `*` stands for each that is not
    named."""

    rpm: Annotated[int, Field(ge=1)] | None = None


class ApprovalSettings(Section):
    """`first_use`: is the user asked before a project's first call to a provider that is not on
    this machine?"""

    first_use: bool = False


class AlertSettings(Section):
    """A program that is told what its user should know: the words of its command line."""

    command: tuple[str, ...] = ()


class CircuitSettings(Section):
    enabled: bool = True
    failure_threshold: Annotated[int, Field(ge=1)] = 5
    reset_timeout_s: Annotated[float, Field(gt=0)] = 60.0


class RetrySettings(Section):
    per_provider: Annotated[int, Field(ge=1, le=5)] = 2
    per_call: Annotated[int, Field(ge=1, le=10)] = 4
    base_delay_ms: Annotated[int, Field(ge=0)] = 50
    mid_stream: Literal["restart", "partial", "error"] = "restart"


class PriceSettings(Section):
    """USD per million tokens, per request, per second of machine time, and per image read."""

    input: Money = Decimal(0)
    output: Money = Decimal(0)
    cached: Money | None = None
    cache_write: Money | None = None
    per_request: Money = Decimal(0)
    per_second: Money = Decimal(0)
    per_image: Money = Decimal(0)

    @model_validator(mode="after")
    def says_something(self) -> Self:
        if not self.model_fields_set & {"input", "per_request", "per_second", "per_image"}:
            raise ValueError("it needs input, per_request, per_second or per_image")
        return self


class PriceUpdateSettings(Section):
    """May the price table be fetched from its public repository, hourly? Else nothing is."""

    enabled: bool = False


class LimitSettings(Section):
    timeout_s: Annotated[float, Field(gt=0, le=3600)] = 50.0
    max_tokens: Annotated[int, Field(ge=1)] = 4096
    max_result_chars: Annotated[int, Field(ge=1000)] | None = None


class FileSettings(Section):
    """Directories beside the project whose files a caller may name."""

    roots: tuple[Path, ...] = ()


class NetworkSettings(Section):
    """Clients strip proxy and certificate variables from a server's environment, so they are
    settings. `trusted_hosts` may be reached over plain http and count as local."""

    proxy: str | None = None
    ca_file: Path | None = None
    trusted_hosts: tuple[str, ...] = ()


class LedgerSettings(Section):
    retain_days: Annotated[int, Field(ge=1)] | None = None


class LogSettings(Section):
    """What a server writes into its file in `logs/`, if it is to have one."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    file: bool = True


class TelemetrySettings(Section):
    """Where traces and metrics go, over OTLP/HTTP: nowhere by default. With `record_content` the
    traces hold what was asked and answered."""

    otlp_endpoint: str | None = None
    record_content: bool = False


class TuiSettings(Section):
    """How `roundhouse watch` looks and listens. `keys` are action -> keys, `columns` view -> the
    keys of its columns, `filters` name -> filter."""

    theme: str = ""
    poll: Literal["200ms", "1s", "5s"] = "200ms"
    ascii: bool = False
    mouse: bool = True
    read_only: bool = False
    keys: dict[str, str] = {}
    columns: dict[str, tuple[str, ...]] = {}
    filters: dict[str, str] = {}


class Settings(Section):
    """Everything the user said, validated. `timezone` decides when budget windows begin."""

    timezone: str = "UTC"
    routing: RoutingSettings = RoutingSettings()
    providers: dict[str, ProviderSettings] = {}
    budgets: tuple[BudgetSettings, ...] = ()
    clients: dict[str, ClientSettings] = {}
    projects: dict[str, ClientSettings] = {}
    approvals: ApprovalSettings = ApprovalSettings()
    alerts: AlertSettings = AlertSettings()
    circuits: CircuitSettings = CircuitSettings()
    retries: RetrySettings = RetrySettings()
    prices: dict[str, PriceSettings] = {}
    price_updates: PriceUpdateSettings = PriceUpdateSettings()
    limits: LimitSettings = LimitSettings()
    files: FileSettings = FileSettings()
    network: NetworkSettings = NetworkSettings()
    ledger: LedgerSettings = LedgerSettings()
    logs: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    tui: TuiSettings = TuiSettings()
