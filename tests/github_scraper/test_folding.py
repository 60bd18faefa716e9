"""E-mails are folded by one table: of the loader, of PostgreSQL and of the models on BigQuery."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = ROOT / "dbt_projects" / "github_scraper"
FUNCTION = ROOT / "flows" / "github_scraper" / "functions.sql"
MACRO = PROJECT / "macros" / "folded_email.sql"
PERSON = r"(?:e?mail|alias|person|domain|address)"
# A call of the database's own idea of letters on what is an address or a part of one.
OTHER = re.compile(
    rf"\b(?:lower|upper|initcap)\((?:\w+\()?(?:\w+\.)?\w*{PERSON}\w*\b", re.IGNORECASE
)
# A domain is checked to be small besides; an address of a repository is no e-mail.
ALLOWED = ("check (domain = lower(domain) and", "public.bare_address(url)")


def letters(path: Path) -> list[str]:
    """The long texts of a file, which its pieces make."""
    found = "".join(
        re.findall(r"'([^'\x00-\x7f]+|[A-Z]{20,}[^']*|[a-z]{20,}[^']*)'", path.read_text())
    )
    middle = found.index("abcdefgh")
    return [found[:middle], found[middle:]]


def test_the_models_have_the_letters_of_the_loader() -> None:
    ours, theirs = letters(FUNCTION), letters(MACRO)
    assert [len(each) for each in ours] == [len(ours[0])] * 2
    assert len(ours[0]) > 500
    assert theirs == ours


def test_no_address_is_folded_otherwise() -> None:
    found = {f"{path.relative_to(ROOT)}: {line}" for path, line in _folded_otherwise()}
    assert found == set(), "use folded_email"


def _folded_otherwise() -> Iterator[tuple[Path, str]]:
    for folder in (ROOT / "flows" / "github_scraper", PROJECT / "models", PROJECT / "macros"):
        for path in (*folder.rglob("*.sql"), *folder.rglob("*.py")):
            for line in path.read_text().splitlines():
                is_the_rule = path == FUNCTION or any(each in line for each in ALLOWED)
                if OTHER.search(line) and not is_the_rule:
                    yield path, line.strip()
