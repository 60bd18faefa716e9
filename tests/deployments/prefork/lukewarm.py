"""``python -m deployments.prefork`` whose warm process imports the flows of these tests alone.

What those of the deployed flows are is seconds of import and parsing, and tells nothing of how a
worker ends.
"""

import runpy
from functools import partial

from deployments.prefork import worker

if __name__ == "__main__":
    own = partial(worker.Parents, modules=["tests.deployments.prefork.flows"])
    vars(worker)["Parents"] = own
    runpy.run_module("deployments.prefork", run_name="__main__")
