"""What the embedded PostgreSQL is started with."""

import shutil
from pathlib import Path

SMALL_SHARED_MEMORY_BYTES = 256 * 1024**2
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "work_mem": "16MB",
    "maintenance_work_mem": "64MB",
    "max_wal_size": "1GB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "jit": "off",
    # A statement ends soon after the process that wants its answer.
    "client_connection_check_interval": "1s",
    # What is read lies in the cache of the operating system: workers only hand it on.
    "io_method": "sync",
}
# Commits still reach the operating system: what is killed with -9 loses none of them.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


def settings(*, is_durable: bool) -> dict[str, str]:
    return SETTINGS | _of_shared_memory() | ({} if is_durable else NOT_DURABLE)


def _of_shared_memory() -> dict[str, str]:
    """Containers often give 64 MB of /dev/shm, which one parallel query can fill."""
    shared = Path("/dev/shm")  # noqa: S108  looked at, not written to
    if shared.exists() and shutil.disk_usage(shared).total < SMALL_SHARED_MEMORY_BYTES:
        return {"dynamic_shared_memory_type": "mmap"}
    return {}
