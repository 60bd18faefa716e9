"""`python -m deployments.check`."""

import sys

from deployments.check import main

if __name__ == "__main__":
    sys.exit(main())
