"""The sources that are there without any settings."""

from collections.abc import Sequence

from flows._shared.errors import PermanentError
from flows._shared.inbox import FORM
from flows._shared.revised import revised
from flows.webhooks.settings import (
    JSON,
    MIB,
    Endpoint,
    HmacScheme,
    ReceiverSettings,
    Source,
    StandardScheme,
    TokenScheme,
)

PROTOBUF = "application/x-protobuf"
UUID_PATTERN = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
# What a sender may ask for: a dbt selector could name more than a layer, and options of dbt.
LAYER_PATTERN = "all|bronze|silver|gold|platinum"
OWN_SIGNATURE = HmacScheme(header="X-Signature-256", prefix="sha256=")
IDEMPOTENCY_KEY = "Idempotency-Key"

GITHUB = Source(
    name="github",
    schemes=(HmacScheme(header="X-Hub-Signature-256", prefix="sha256="),),
    endpoints=(
        Endpoint(
            path="/webhook/github",
            kind_header="X-GitHub-Event",
            slug="github_scraper",
            silent_kinds=("ping",),
            content_types=(JSON, FORM),
            max_bytes=25 * MIB,
            delivery_id_header="X-GitHub-Delivery",
            delivery_id_pattern=UUID_PATTERN,
            without_id="refuse",
            attributes={
                "action": "/action",
                "repository_id": "/repository/id",
                "repository": "/repository/full_name",
                "ref": "/ref",
                "before": "/before",
                "after": "/after",
                "forced": "/forced",
                "deleted": "/deleted",
            },
        ),
    ),
)

SCOUT = Source(
    name="scout",
    schemes=(OWN_SIGNATURE, StandardScheme(), TokenScheme()),
    endpoints=(
        *(
            Endpoint(
                path=f"/webhook/scout-{kind}",
                kind=kind,
                slug="scout",
                max_bytes=10 * MIB,
                delivery_id_header=IDEMPOTENCY_KEY,
                holds_rows=True,
            )
            for kind in ("transactions", "products")
        ),
        *(
            Endpoint(
                path=path,
                kind="refresh",
                slug="scout",
                delivery_id_header=IDEMPOTENCY_KEY,
                requires={"/layer": LAYER_PATTERN},
                attributes={"layer": "/layer"},
            )
            for path in ("/webhook/scout-refresh", "/webhook/dbt-refresh")
        ),
    ),
)

QUALITY_COMPASS = Source(
    name="quality_compass",
    schemes=(OWN_SIGNATURE, StandardScheme(), TokenScheme()),
    endpoints=(
        Endpoint(
            path="/webhook/quality-compass-run-finished",
            kind="run-finished",
            slug="quality_compass",
            delivery_id_header=IDEMPOTENCY_KEY,
            attributes={"run_id": "/run_id", "address": "/address"},
        ),
    ),
)

# Exporters send the same bytes again when an answer is lost, and sign nothing.
AGENT_ANALYTICS = Source(
    name="agent_analytics",
    schemes=(TokenScheme(),),
    endpoints=tuple(
        Endpoint(
            path=path,
            kind=kind,
            slug="agent_analytics",
            content_types=content_types,
            accepts_gzip=True,
            max_bytes=16 * MIB,
            without_id="by content",
            protocol=protocol,
            holds_rows=kind == "commits",
        )
        for path, kind, content_types, protocol in (
            ("/v1/metrics", "otlp-metrics", (JSON, PROTOBUF), "otlp-metrics"),
            ("/v1/logs", "otlp-logs", (JSON, PROTOBUF), "otlp-logs"),
            ("/v1/traces", "otlp-traces", (JSON, PROTOBUF), "otlp-traces"),
            ("/v1/otel", "otel", (JSON,), "otlp"),
            ("/v1/commits", "commits", (JSON,), "webhook"),
        )
    ),
)

BUILT_IN = (GITHUB, SCOUT, QUALITY_COMPASS, AGENT_ANALYTICS)


def served(settings: ReceiverSettings) -> Sequence[Source]:
    """The sources that these settings name.

    Raises:
        PermanentError: a name or a path stands twice, a source has no endpoint, or an enabled
            source does not exist.
    """
    if len({each.name for each in settings.sources}) < len(settings.sources):
        raise _wrong("a source stands there twice", "Give each source a name of its own")
    sources = {each.name: each for each in BUILT_IN}
    for own in settings.sources:
        changes = {name: getattr(own, name) for name in own.model_fields_set}
        sources[own.name] = revised(sources.get(own.name, own), **changes)
    if bare := [each.name for each in sources.values() if not each.endpoints]:
        raise _wrong(f"{bare[0]} is no built-in source and has no endpoint", "Give it `endpoints`")
    names = tuple(sources) if settings.enabled is None else settings.enabled
    if unknown := [name for name in names if name not in sources]:
        raise _wrong(f"there is no source {', '.join(unknown)}", f"There are {', '.join(sources)}")
    chosen = [sources[name] for name in names]
    paths = [endpoint.path for source in chosen for endpoint in source.endpoints]
    if twice := sorted({path for path in paths if paths.count(path) > 1}):
        raise _wrong(f"two endpoints have the path {twice[0]}", "Give each a path of its own")
    return chosen


def _wrong(seen: str, remedy: str) -> PermanentError:
    return PermanentError("reading the receiver's settings", seen, remedy)
