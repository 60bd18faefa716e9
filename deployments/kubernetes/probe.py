"""A run that needs no database: shows that a cluster, its work pool and its limits work."""

import time

from prefect import flow, get_run_logger, task

MEBIBYTE = 2**20


@task
def tell(size: int) -> None:
    """Log how many bytes are held."""
    get_run_logger().info("holding %d bytes", size)


@flow(name="kubernetes-probe")
def probe(hold_seconds: float = 0.0, mebibytes: int = 1) -> None:
    """Hold some memory for some time.

    Args:
        hold_seconds: how long to stay, for someone to delete the pod or drain its node.
        mebibytes: how much memory to take; more than the pod's limit gets it killed.
    """
    held = b"." * (mebibytes * MEBIBYTE)
    tell(len(held))
    time.sleep(hold_seconds)
