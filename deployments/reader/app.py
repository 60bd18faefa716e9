"""The reader over HTTP: the whole copy, and each mart as CSV, JSON or Parquet.

GET /                          which marts there are
GET /agent_analytics.duckdb    the copy, by ranges: ``attach 'http://...' (read_only)``
GET /mart/<table>.<format>     one mart
GET /healthz, /readyz          for the cluster; ask for no password
"""

import base64
import binascii
import hmac
from html import escape

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route

from deployments.reader.copy import FORMATS, PublishedCopy

NAME = "agent_analytics.duckdb"
TYPES = {
    "csv": "text/csv; charset=utf-8",
    "json": "application/json",
    "parquet": "application/vnd.apache.parquet",
}
NOT_YET = "Nothing was published yet, or the bucket does not answer: the log of the reader says it"
WHO = {"WWW-Authenticate": 'Basic realm="agent analytics"'}


def make_app(copy: PublishedCopy, login: str) -> Starlette:
    """The application.

    Args:
        login: ``user:password`` that every reader shows.
    """

    async def index(request: Request) -> Response:
        if not _is_known(request, login):
            return PlainTextResponse("Sign in", 401, WHO)
        names = await run_in_threadpool(copy.tables)
        if copy.version is None:
            return PlainTextResponse(NOT_YET, 503)
        links = [
            f"<li>{escape(name)}: "
            + ", ".join(f'<a href="mart/{escape(name)}.{kind}">{kind}</a>' for kind in FORMATS)
            for name in names
        ]
        head = f'<p>{escape(copy.version.name)}: <a href="{NAME}">{NAME}</a></p>'
        return HTMLResponse(f"<title>Agent analytics</title>{head}<ul>{''.join(links)}</ul>")

    async def whole(request: Request) -> Response:
        if not _is_known(request, login):
            return PlainTextResponse("Sign in", 401, WHO)
        path, version = copy.path, copy.version
        if path is None or version is None:
            return PlainTextResponse(NOT_YET, 503)
        headers = {"ETag": f'"{version.sha256}"', "Cache-Control": "no-cache"}
        return FileResponse(path, filename=NAME, headers=headers)

    async def table(request: Request) -> Response:
        if not _is_known(request, login):
            return PlainTextResponse("Sign in", 401, WHO)
        if copy.version is None:
            return PlainTextResponse(NOT_YET, 503)
        name, _, kind = request.path_params["file"].rpartition(".")
        if kind not in FORMATS or name not in await run_in_threadpool(copy.tables):
            return PlainTextResponse("There is no such mart, or no such format: see /", 404)
        path = await run_in_threadpool(copy.export, name, kind)
        return FileResponse(path, media_type=TYPES[kind], headers={"Cache-Control": "no-cache"})

    async def health(_: Request) -> Response:
        return PlainTextResponse("ok")

    async def ready(_: Request) -> Response:
        return PlainTextResponse("ok" if copy.version else NOT_YET, 200 if copy.version else 503)

    return Starlette(
        routes=[
            Route("/", index),
            Route(f"/{NAME}", whole),
            Route("/mart/{file}", table),
            Route("/healthz", health),
            Route("/readyz", ready),
        ]
    )


def _is_known(request: Request, login: str) -> bool:
    kind, _, shown = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return False
    try:
        decoded = base64.b64decode(shown, validate=True)
    except (binascii.Error, ValueError):
        return False
    return hmac.compare_digest(decoded, login.encode())
