"""The production checklist as one command that prints it.

    python -m flows.quality_compass checklist

It needs what the flow needs: PREFECT_API_URL and the block of the database. It ends with 1 when an
item failed.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

from flows._shared.errors import PlatformError
from flows.quality_compass.flow.checklist import ChecklistError, check_production


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m flows.quality_compass",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", choices=("checklist",))
    parser.parse_args(arguments)
    # An item that fails is told below, in a line and not with a trace.
    logging.disable(logging.CRITICAL)
    try:
        items = check_production()
    except ChecklistError as error:
        items = error.items
    except PlatformError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    finally:
        logging.disable(logging.NOTSET)
    for each in items:
        seen = "; ".join(each.seen.splitlines())
        sys.stdout.write(f"{'pass' if each.is_passed else 'FAIL'}  {each.item}: {seen}\n")
    return 0 if all(each.is_passed for each in items) else 1


if __name__ == "__main__":
    sys.exit(main())
