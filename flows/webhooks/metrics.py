"""What the receiver counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
ROWS = (1, 2, 5, 10, 20, 50, 100, 200, 500)


class Metrics:
    """The metrics of one receiver. Labels take a few known values only."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "webhooks_requests", "Requests answered.", ["source", "status"], registry=self.registry
        )
        self.kept = Counter(
            "webhooks_deliveries",
            "Deliveries whose sender is known, by what became of them.",
            ["source", "outcome"],
            registry=self.registry,
        )
        self.refused = Counter(
            "webhooks_refused", "Requests refused.", ["source", "reason"], registry=self.registry
        )
        self.seconds = Histogram(
            "webhooks_request_seconds",
            "From the headers of a request to its answer.",
            ["source"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.bytes_in_flight = Gauge(
            "webhooks_bytes_in_flight", "Bytes of bodies in memory.", registry=self.registry
        )
        self.batch_rows = Histogram(
            "webhooks_batch_rows", "Deliveries per commit.", buckets=ROWS, registry=self.registry
        )
        self.inbox_failures = Counter(
            "webhooks_inbox_failures", "Commits that failed.", registry=self.registry
        )
        self.spool_bytes = Gauge(
            "webhooks_spool_bytes", "Bytes waiting on disk.", registry=self.registry
        )
        self.spool_damaged = Gauge(
            "webhooks_spool_damaged",
            "Files of the spool that are kept aside, as a part of them could not be read.",
            registry=self.registry,
        )
        self.spool_refused = Counter(
            "webhooks_spool_refused", "Batches the spool had no room for.", registry=self.registry
        )
        self.events_sent = Counter(
            "webhooks_events_sent", "Events the Prefect server took.", registry=self.registry
        )
        self.events_failed = Counter(
            "webhooks_events_failed",
            "Attempts to send a batch of events that failed.",
            registry=self.registry,
        )
        self.outbox_waiting = Gauge(
            "webhooks_outbox_waiting",
            "Events that the server's store does not hold yet.",
            registry=self.registry,
        )
        self.outbox_oldest_seconds = Gauge(
            "webhooks_outbox_oldest_seconds",
            "Age of the oldest event that was never sent.",
            registry=self.registry,
        )
