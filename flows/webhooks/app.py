"""The receiver as an ASGI application."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from prometheus_client import start_http_server
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route, Router

from flows.webhooks.examining import Examiner
from flows.webhooks.in_flight import InFlight
from flows.webhooks.intake import Intake
from flows.webhooks.limits import RateLimit
from flows.webhooks.metrics import Metrics
from flows.webhooks.networks import Networks
from flows.webhooks.outbox import Dispatcher
from flows.webhooks.rpc import RpcServer
from flows.webhooks.secrets import Secrets
from flows.webhooks.settings import ReceiverSettings, Source
from flows.webhooks.writer import Writer


class Receiver:
    """The routes, and the threads that work behind them.

    Args:
        secrets, networks: loaded already.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        sources: Sequence[Source],
        secrets: Secrets,
        networks: Networks,
    ) -> None:
        self._settings = settings
        self._sources = sources
        self._secrets = secrets
        self._networks = networks
        self._metrics = Metrics()
        self._dispatcher = (
            Dispatcher(settings, secrets.database_url, self._metrics)
            if settings.dispatches
            else None
        )
        wake = self._dispatcher.wake if self._dispatcher else lambda: None
        self._writer = Writer(settings, secrets.database_url, self._metrics, wake)
        self._examiner = Examiner()
        in_flight = InFlight(settings.bytes_in_flight)
        routes = [
            Route("/healthz", self._show_health),
            Route("/readyz", self._show_readiness),
        ]
        for source in sources:
            rate = RateLimit(source.requests_per_second, source.burst)
            for endpoint in source.endpoints:
                intake = Intake(
                    settings,
                    source,
                    endpoint,
                    secrets,
                    networks,
                    self._writer,
                    self._metrics,
                    in_flight,
                    rate,
                    self._examiner,
                )
                routes.append(Route(endpoint.path, intake, methods=["POST"]))
        # A redirect would lead to whatever host the sender named. What an application of Starlette
        # has beyond its routes, intakes do themselves: it was nearly a tenth of a delivery's work.
        self.application = Router(routes, redirect_slashes=False, lifespan=self._lifespan)

    @asynccontextmanager
    async def _lifespan(self, _: Router) -> AsyncIterator[None]:
        self._examiner.start()
        self._writer.start()
        self._secrets.start()
        self._networks.start()
        if self._dispatcher:
            self._dispatcher.start()
        with self._shown_metrics():
            async with self._taken_by_rpc():
                yield
        await asyncio.to_thread(self._examiner.stop)
        await asyncio.to_thread(self._writer.stop)
        if self._dispatcher:
            await asyncio.to_thread(self._dispatcher.stop)
        self._networks.stop()
        self._secrets.stop()

    @contextmanager
    def _shown_metrics(self) -> Iterator[None]:
        """The metrics on a port of their own, which senders need not reach."""
        port = self._settings.metrics_port
        if port is None:
            yield
            return
        server, thread = start_http_server(port, self._settings.host, self._metrics.registry)
        yield
        server.shutdown()
        server.server_close()
        thread.join()

    @asynccontextmanager
    async def _taken_by_rpc(self) -> AsyncIterator[None]:
        """OTLP over gRPC on a port of its own, by the routes of HTTP."""
        if self._settings.grpc_port is None:
            yield
            return
        server = RpcServer(self._settings, self._sources, self.application)
        await server.start()
        yield
        await server.stop()

    async def _show_health(self, _: Request) -> Response:
        return PlainTextResponse("alive\n")

    async def _show_readiness(self, _: Request) -> Response:
        missing = [
            f"the source {source.name} has no secret"
            for source in self._sources
            if not source.unsigned and not self._secrets.of(source)
        ]
        if not self._writer.is_up:
            missing.append(f"the inbox does not answer ({self._writer.last_error})")
        if missing:
            return PlainTextResponse("\n".join(missing) + "\n", 503)
        return PlainTextResponse("ready\n")
