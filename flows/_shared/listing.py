"""What is in a folder, and which folders in it nobody let us read."""

from collections.abc import Callable, Iterator
from typing import Any

from fsspec.implementations.local import LocalFileSystem


def find_all(
    system: Any, root: str, on_error: Callable[[OSError], None]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Each file and link below a folder or prefix with its details, as ``find`` of fsspec.

    That one tells of no folder below the first that it could not read (fsspec 2026.9): all in it
    would be missing, and nobody would know.

    Args:
        on_error: called with the error of each folder that cannot be listed.
    """
    if not isinstance(system, LocalFileSystem):
        yield from system.find(root, detail=True, on_error=on_error).items()
        return
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            found = system.ls(folder, detail=True)
        except OSError as error:
            on_error(error)
            continue
        for each in found:
            if each["type"] == "directory":
                folders.append(each["name"])
            else:
                yield each["name"], each
