"""A run that needs no database: shows that a cluster, its work pool and its limits work."""

import time

from prefect import flow, get_run_logger, task

MEBIBYTE = 2**20


@task
def allocate(mebibytes: int) -> int:
    """Hold so much memory; its size in bytes."""
    return len(b"." * (mebibytes * MEBIBYTE))


@flow(name="kubernetes-probe")
def probe(hold_seconds: float = 0.0, mebibytes: int = 1) -> None:
    """Use some memory for some time.

    Args:
        hold_seconds: how long to stay, for someone to delete the pod or drain its node.
        mebibytes: how much memory to take; more than the pod's limit gets it killed.
    """
    get_run_logger().info("allocated %d bytes", allocate(mebibytes))
    time.sleep(hold_seconds)
