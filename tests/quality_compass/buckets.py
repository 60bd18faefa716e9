"""Buckets on loopback: S3 as moto answers for it, and the part of Google's JSON API that reads."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import boto3
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

BUCKET = "needle"
REGION = "us-east-1"


def files_of(folder: Path, prefix: str) -> dict[str, bytes]:
    return {
        f"{prefix}/{path.relative_to(folder)}": path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


@contextmanager
def s3_bucket(objects: dict[str, bytes]) -> Iterator[dict[str, Any]]:
    """A bucket with these objects; yields the options of `S3FileSystem` that reach it."""
    # It comes with a web framework, which few of the processes that look for tests need.
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"access_key": "AKIAEXAMPLE", "secret_key": "s3-secret-of-the-test"}
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{host}:{port}",
        region_name=REGION,
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
    )
    client.create_bucket(Bucket=BUCKET)
    for key, content in objects.items():
        client.put_object(Bucket=BUCKET, Key=key, Body=content)
    try:
        yield {
            **keys,
            "region": REGION,
            "scheme": "http",
            "endpoint_override": f"{host}:{port}",
        }
    finally:
        server.stop()


@dataclass
class GoogleCloud:
    """A token endpoint and a bucket that asks for its tokens."""

    objects: dict[str, bytes]
    tokens: list[str] = field(default_factory=list)
    is_refusing: bool = False
    token_seconds: int = 3600
    port: int = 0

    @property
    def options(self) -> dict[str, Any]:
        return {"scheme": "http", "endpoint_override": f"127.0.0.1:{self.port}"}

    @property
    def service_account(self) -> dict[str, Any]:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        pem = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        return {
            "type": "service_account",
            "client_email": "reader@example.iam.gserviceaccount.com",
            "private_key": pem.decode(),
            "private_key_id": "1",
            "client_id": "1",
            "project_id": "example",
            "token_uri": f"http://127.0.0.1:{self.port}/token",
        }


@contextmanager
def google_cloud(objects: dict[str, bytes]) -> Iterator[GoogleCloud]:
    cloud = GoogleCloud(objects)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            cloud.tokens.append(f"token-{len(cloud.tokens)}")
            token = {"access_token": cloud.tokens[-1], "expires_in": cloud.token_seconds}
            self._answer(200, json.dumps(token).encode())

        def do_GET(self) -> None:
            if cloud.is_refusing or self.headers["authorization"] != f"Bearer {cloud.tokens[-1]}":
                self._answer(403, b'{"error": {"code": 403, "message": "no access"}}')
                return
            parts = urlsplit(self.path)
            query = parse_qs(parts.query)
            home = f"/storage/v1/b/{BUCKET}/o"
            if parts.path == home:
                prefix = query.get("prefix", [""])[0]
                listed = [self._described(key) for key in objects if key.startswith(prefix)]
                self._answer(200, json.dumps({"items": listed}).encode())
                return
            key = unquote(parts.path.removeprefix(f"{home}/").removeprefix(f"/{BUCKET}/"))
            if key not in objects:
                self._answer(404, b"{}")
            elif parts.path.startswith(home) and query.get("alt") != ["media"]:
                self._answer(200, json.dumps(self._described(key)).encode())
            else:
                self._answer(200, objects[key])

        def _described(self, key: str) -> dict[str, str]:
            return {
                "kind": "storage#object",
                "bucket": BUCKET,
                "name": key,
                "size": str(len(objects[key])),
                "generation": "1",
                "updated": "2025-01-01T00:00:00Z",
            }

        def _answer(self, status: int, body: bytes) -> None:
            first, last = 0, len(body) - 1
            asked = self.headers.get("range")
            if asked and status == 200:
                begin, _, end = asked.removeprefix("bytes=").partition("-")
                first, last = int(begin), min(int(end or last), last)
                status = 206
            self.send_response(status)
            if status == 206:
                self.send_header("content-range", f"bytes {first}-{last}/{len(body)}")
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(last - first + 1))
            self.end_headers()
            self.wfile.write(body[first : last + 1])

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    cloud.port = server.server_port
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield cloud
    finally:
        server.shutdown()
        server.server_close()
