"""What commands of `flows` have in common: domains, `--json`, examples in their help."""

from typing import Annotated

import typer

from flows._shared.chosen import spelled

SLUGS = ("github_scraper", "ledgermind", "scout", "quality_compass", "agent_analytics")
INBOX = "webhooks"


def _slugs(incomplete: str) -> list[str]:
    return [slug for slug in (*SLUGS, INBOX) if slug.startswith(spelled(incomplete))]


Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
Domain = Annotated[str, typer.Argument(help="Such as scout.", autocompletion=_slugs)]
Domains = Annotated[
    list[str] | None, typer.Argument(help="Such as scout; default: all.", autocompletion=_slugs)
]


def example(*lines: str) -> str:
    return "\n\n".join(f"Example: `{line}`" for line in lines)
