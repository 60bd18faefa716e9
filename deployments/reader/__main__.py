"""`python -m deployments.reader`: its settings are environment variables, its secrets too."""

import argparse
import json
import logging
import os
import sys
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

import uvicorn

from deployments.reader.app import make_app
from deployments.reader.copy import PublishedCopy
from flows._shared.errors import PermanentError, PlatformError
from flows._shared.json_keys import each_once
from flows.agent_analytics.settings import DESTINATION_VARIABLE

LOGIN = "AGENT_ANALYTICS_READER_LOGIN"
OPTIONS = "AGENT_ANALYTICS_STORAGE_OPTIONS"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.reader", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--every", type=float, default=30.0, metavar="SECONDS")
    parser.add_argument("--folder", type=Path, help="for copies; default: one that is temporary")
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    try:
        login, address = _needed(LOGIN), _needed(DESTINATION_VARIABLE)
        storage = json.loads(os.environ.get(OPTIONS) or "{}", object_pairs_hook=each_once)
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except ValueError:
        sys.stderr.write(f'{OPTIONS} is no JSON: give {{"s3": {{...}}}} or {{"gs": {{...}}}}\n')
        return 1
    with tempfile.TemporaryDirectory(prefix="reader-", dir=options.folder) as folder:
        copy = PublishedCopy(address, Path(folder), storage)
        thread = threading.Thread(target=copy.follow, args=(options.every,), name="follow")
        thread.start()
        try:
            uvicorn.run(make_app(copy, login), host=options.host, port=options.port)
        finally:
            copy.stop()
            thread.join()
    return 0


def _needed(variable: str) -> str:
    if value := os.environ.get(variable):
        return value
    raise PermanentError("starting the reader", f"{variable} is not set", "Set it, and start again")


if __name__ == "__main__":
    sys.exit(main())
