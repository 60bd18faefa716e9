"""In place of Prefect's engine: does what its environment says, as `__main__`."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

WARM = "tests.deployments.prefork.warm"


def main() -> int:
    out = Path(os.environ["TEST_OUT"])
    out.mkdir(parents=True, exist_ok=True)
    is_warm = WARM in sys.modules
    from tests.deployments.prefork.warm import met

    met.append(os.environ["TEST_OUT"])
    seen = {
        "pid": os.getpid(),
        "parent": os.getppid(),
        "directory": str(Path.cwd()),
        "environment": dict(os.environ),
        "is_warm": is_warm,
        "met": met,
        "files": sorted(path.name for path in Path("/proc/self/fd").iterdir()),
    }
    what, _, much = os.environ["TEST_DO"].partition(":")
    if what == "leave":
        seen["left"] = subprocess.Popen(["sleep", "600"]).pid
    written = out / "seen.writing"
    written.write_text(json.dumps(seen))
    written.rename(out / "seen")
    sys.stdout.write(f"told in {out.name}\n")
    if what == "hold":
        time.sleep(float(much))
    elif what == "take":
        held = b"." * (int(much) * 2**20)
        time.sleep(30)
        del held
    elif what == "die":
        os.kill(os.getpid(), signal.Signals[much])
    elif what == "exit":
        return int(much)
    return 0


if __name__ == "__main__":
    sys.exit(main())
