"""What an operator may turn: limits, sources, what is kept for how long.

Every field can be set in a YAML file (``python -m flows.webhooks serve --settings receiver.yaml``);
a source under a name of ``flows.webhooks.sources`` there changes what it sets of that one.
"""

from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

MIB = 1024**2
JSON = "application/json"
SHARE_OF_CONNECTIONS = 4

# Said in full by whoever wants it: nothing is accepted unsigned by omission.
ANYONE = "anyone may post to this source"


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class HmacScheme(_Settings):
    """HMAC-SHA256 over the raw body, in a header."""

    type: Literal["hmac"] = "hmac"
    header: str = Field(description="Name of the header with the signature.")
    prefix: str = Field(default="", description="What stands before it, such as `sha256=`.")
    encoding: Literal["hex", "base64"] = Field(default="hex", description="How it is written.")


class StandardScheme(_Settings):
    """Standard Webhooks: `webhook-id`, `webhook-timestamp`, `webhook-signature`."""

    type: Literal["standard"] = "standard"
    tolerance_seconds: int = Field(default=300, gt=0, description="How far clocks may differ.")


class TokenScheme(_Settings):
    """A secret shown in a header. Needs TLS in front of the receiver."""

    type: Literal["token"] = "token"
    header: str = Field(default="authorization", description="Name of the header.")
    prefix: str = Field(default="Bearer ", description="What stands before the token.")


Scheme = Annotated[HmacScheme | StandardScheme | TokenScheme, Field(discriminator="type")]


class Endpoint(_Settings):
    """One address that takes deliveries."""

    path: str = Field(pattern=r"^/[\w./-]+$", description="Such as `/webhook/shop`.")
    kind: str | None = Field(
        default=None, pattern=r"^[\w.-]{1,64}$", description="What readers of the inbox ask for."
    )
    kind_header: str | None = Field(
        default=None, description="The header that holds it instead, such as `X-GitHub-Event`."
    )
    slug: str | None = Field(
        default="webhooks",
        description="Whose event tells of a delivery, `<slug>.delivery.received`; none if null.",
    )
    silent_kinds: tuple[str, ...] = Field(
        default=(), description="Kinds that are stored and start nothing, such as `ping`."
    )
    content_types: tuple[str, ...] = Field(default=(JSON,), description="Others get a 415.")
    accepts_gzip: bool = Field(default=False, description="`Content-Encoding: gzip` is accepted.")
    max_bytes: int = Field(
        default=MIB, gt=0, description="Longest body, compressed and not; a longer one gets a 413."
    )
    delivery_id_header: str | None = Field(
        default=None, description="The header with the sender's id of the delivery."
    )
    delivery_id_pattern: str = Field(
        default=r"[\x21-\x7e]{1,200}", description="What a whole id must match."
    )
    without_id: Literal["refuse", "by content", "always new"] = Field(
        default="always new",
        description=(
            "A delivery without an id is refused; or equal bodies are one delivery; or each is a "
            "delivery of its own."
        ),
    )
    holds_rows: bool = Field(
        default=False,
        description=(
            "Bodies are lists of rows, with an object around or not, and their reader judges each "
            "alone: a row that has a key twice is left to it. Elsewhere the body gets a 400."
        ),
    )
    requires: dict[str, str] = Field(
        default={}, description="JSON pointers and the pattern that the text there must match."
    )
    attributes: dict[str, str] = Field(
        default={}, description="Names in the event, and the JSON pointer each is taken from."
    )
    protocol: Literal["webhook", "otlp-metrics", "otlp-logs", "otlp-traces", "otlp"] = Field(
        default="webhook",
        description="How bodies are checked and answered; traces are answered and not stored.",
    )

    @model_validator(mode="after")
    def _has_a_kind(self) -> Self:
        if (self.kind is None) == (self.kind_header is None):
            raise ValueError("give either `kind` or `kind_header`")
        if self.without_id == "refuse" and self.delivery_id_header is None:
            raise ValueError("`without_id: refuse` needs a `delivery_id_header`")
        return self


class PublishedNetworks(_Settings):
    """A list of the addresses a sender posts from, kept by the sender."""

    url: str = Field(
        pattern=r"^https?://", description="JSON, such as `https://api.github.com/meta`."
    )
    pointer: str = Field(
        pattern=r"^(/[^/]+)+$", description="JSON pointer of the list, such as `/hooks`."
    )
    refresh_seconds: float = Field(default=86_400, gt=0, description="How often it is read.")


class Source(_Settings):
    """One kind of sender, its secrets and its addresses."""

    name: str = Field(pattern=r"^[a-z0-9_]{1,64}$", description="As `read_deliveries` takes it.")
    secrets_block: str | None = Field(
        default=None,
        description=(
            "Secret block with the active secrets: a JSON list, or one a line. Default: "
            "`webhooks-<name>-secrets`."
        ),
    )
    unsigned: Literal["anyone may post to this source"] | None = Field(
        default=None, description="Said in these words, deliveries need no signature."
    )
    schemes: tuple[Scheme, ...] = Field(
        default=(HmacScheme(header="X-Signature-256", prefix="sha256="), StandardScheme()),
        min_length=1,
        description="How a sender shows who it is; the first whose headers are there decides.",
    )
    networks: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="Addresses that may post; all if none are given or published."
    )
    published_networks: PublishedNetworks | None = Field(
        default=None, description="Where the sender publishes more addresses that may post."
    )
    requests_per_second: float = Field(
        default=500, gt=0, description="Per client address, sustained; more get a 429."
    )
    burst: int = Field(default=5_000, gt=0, description="Per client address, at once.")
    silent_where: dict[str, str] = Field(
        default={},
        description=(
            "JSON pointers and patterns: a delivery whose text there matches one is stored and "
            "starts nothing, such as what your own app did: `/sender/login: my-app\\[bot\\]`."
        ),
    )
    endpoints: tuple[Endpoint, ...] = Field(
        default=(), description="Where it posts to; those of the built-in source if none."
    )

    @property
    def block(self) -> str:
        return self.secrets_block or f"webhooks-{self.name.replace('_', '-')}-secrets"


class ReceiverSettings(_Settings):
    host: str = Field(default="127.0.0.1", description="Address to listen on.")
    port: int = Field(default=8090, ge=0, le=65535, description="Port to listen on.")
    metrics_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port for Prometheus, which senders need not reach; none if null.",
    )
    grpc_port: int | None = Field(
        default=None,
        ge=1,
        le=65535,
        description="Port for OTLP over gRPC, by custom 4317; none if null.",
    )
    database_block: str = Field(
        default="webhooks-postgres", description="SqlAlchemyConnector block of the inbox."
    )
    enabled: tuple[str, ...] | None = Field(
        default=None, description="Names of the sources that are served; all if null."
    )
    sources: tuple[Source, ...] = Field(
        default=(), description="Sources of your own, or what changes of a built-in one."
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = Field(
        default=(), description="Whose X-Forwarded-For is believed; none if empty."
    )
    secrets_refresh_seconds: float = Field(
        default=30, gt=0, description="How soon a change of a secret block counts."
    )
    header_seconds: float = Field(default=10, gt=0, description="Longest wait for all headers.")
    body_seconds: float = Field(default=10, gt=0, description="Longest wait for a whole body.")
    header_bytes: int = Field(default=32_768, gt=0, description="Longest headers, all together.")
    header_count: int = Field(default=100, gt=0, description="Most headers of a request.")
    connections: int = Field(
        default=1_000,
        gt=0,
        description="Most connections at a time, and a quarter of them by one address.",
    )
    bytes_in_flight: int = Field(
        default=128 * MIB,
        gt=0,
        description="Most bytes of bodies in memory, and half of them by one address.",
    )
    store_seconds: float = Field(
        default=8, gt=0, description="Longest wait for the inbox; then 503, or the spool."
    )
    batch_rows: int = Field(default=500, gt=0, description="Most deliveries in one commit.")
    batch_bytes: int = Field(default=32 * MIB, gt=0, description="Most bytes in one commit.")
    spool: Path | None = Field(
        default=None,
        description=(
            "Folder that takes deliveries while the database is down, one receiver's own. Without "
            "it they get a 503."
        ),
    )
    spool_bytes: int = Field(default=1024 * MIB, gt=0, description="Most bytes in the spool.")
    dispatches: bool = Field(
        default=True, description="Also send events; else `python -m flows.webhooks dispatch` does."
    )
    lease_seconds: float = Field(
        default=30, gt=0, description="An event taken by a sender that died is due after this."
    )
    confirm_seconds: float = Field(
        default=7,
        gt=0,
        description="When an event that was sent is looked for in the server's event store.",
    )
    events_per_second: float = Field(
        default=500, gt=0, description="Most events sent to the Prefect server."
    )

    @property
    def address_connections(self) -> int:
        return max(1, self.connections // SHARE_OF_CONNECTIONS)

    @property
    def message_seconds(self) -> float:
        """Longest time for a body that is thrown away, and for reading an answer."""
        return 2 * self.body_seconds + 1


class RetentionSettings(_Settings):
    database_block: str = Field(
        default="webhooks-postgres", description="SqlAlchemyConnector block of the inbox."
    )
    body_days: float = Field(
        default=90, ge=0, description="Bodies older than this are removed; the row stays."
    )
    delivery_days: float = Field(
        default=400,
        ge=0,
        description="Rows older than this are removed: the same delivery would be taken again.",
    )
    batch_rows: int = Field(default=10_000, gt=0, description="Rows of one transaction.")

    @model_validator(mode="after")
    def _keeps_rows_as_long_as_bodies(self) -> Self:
        if self.delivery_days < self.body_days:
            raise ValueError("`delivery_days` must be at least `body_days`")
        return self


class GitHubHook(_Settings):
    """One webhook whose deliveries are reconciled."""

    repository: str | None = Field(
        default=None, pattern=r"^[\w.-]+/[\w.-]+$", description="`owner/name` of a repository hook."
    )
    organization: str | None = Field(
        default=None, pattern=r"^[\w.-]+$", description="Name, for a hook of an organization."
    )
    hook_id: int = Field(gt=0, description="Number of the hook, from its address in GitHub.")

    @model_validator(mode="after")
    def _is_of_one(self) -> Self:
        if (self.repository is None) == (self.organization is None):
            raise ValueError("give either `repository` or `organization`")
        return self


class ReconcileSettings(_Settings):
    database_block: str = Field(
        default="webhooks-postgres", description="SqlAlchemyConnector block of the inbox."
    )
    token_block: str = Field(
        default="webhooks-github-token",
        description="Secret block of a token that may read and redeliver the hooks' deliveries.",
    )
    hooks: tuple[GitHubHook, ...] = Field(default=(), description="The hooks to look after.")
    api_url: str = Field(
        default="https://api.github.com", description="The API; of GitHub Enterprise, its own."
    )
    days: float = Field(
        default=3, gt=0, description="GitHub redelivers for 3 days, GitHub Enterprise Server for 7."
    )
    settle_seconds: float = Field(
        default=120, ge=0, description="Younger deliveries may still be on their way."
    )
