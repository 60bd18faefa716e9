"""``prefect worker start`` for types that Prefect itself has.

To find the class of a worker, and to tell the server which there are, it imports every integration
that is installed: 5.6 s of CPU. Here it finds that done.
"""

from prefect._internal.plugins import collections
from prefect.cli import app

if __name__ == "__main__":
    vars(collections)["_collections"] = {}
    app()
