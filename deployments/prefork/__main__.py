"""python -m deployments.prefork: ``prefect worker start`` with the worker type ``prefork``."""

import runpy
import sys

from deployments.prefork.worker import PreforkWorker

if __name__ == "__main__":
    sys.argv = ["prefect", "worker", "start", "--type", PreforkWorker.type, *sys.argv[1:]]
    runpy.run_module("prefect", run_name="__main__")
