"""Takes the pictures of the docs: each page of a report, as a real browser shows it.

    python -m tests.report.pictures [--site FOLDER]

Without --site it is the report of this machine, where `flows report` puts it. A picture is the
upper part of a page, light, in few colours.
"""

import argparse
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from deployments.local.paths import PROJECT_ROOT, LocalPaths
from flows.report.records import DOMAINS
from tests.report.browser import Tab, tab

PAGES = ("index", *DOMAINS, "operations")
PICTURES = PROJECT_ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 1080
COLOURS = 200


def newest(site: Path) -> Path:
    """The version of a site to which its front page leads."""
    return max((site / "versions").iterdir(), key=lambda version: version.stat().st_mtime)


def take(browser: Tab, page: Path, picture: Path) -> int:
    """Write the picture of a page; its size in bytes."""
    browser.call("Emulation.setScrollbarsHidden", hidden=True)
    browser.open(page.as_uri(), WIDTH)
    shot = Image.open(io.BytesIO(browser.picture(HEIGHT))).convert("RGB")
    shot.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE).save(
        picture, optimize=True
    )
    return picture.stat().st_size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--site", type=Path, default=LocalPaths().cache / "report")
    version = newest(parser.parse_args().site.absolute())
    PICTURES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="pictures-") as profile, tab(Path(profile)) as browser:
        for name in PAGES:
            size = take(browser, version / f"{name}.html", PICTURES / f"{name}.png")
            sys.stdout.write(f"{name:18} {size / 1000:6.0f} kB\n")


if __name__ == "__main__":
    main()
