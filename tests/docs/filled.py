"""What is put in the place of what a page leaves to its reader, and what its commands say."""

from collections.abc import Mapping

# Beside the clone there are another repository and a PostgreSQL of one's own. The tutorial, which
# is typed first, writes the files.
CLONE, OTHER, OWN = "@CLONE@", "@OTHER@", "@OWN@"
FILLED = {
    "https://github.com/owner/name": OTHER,
    "/path/to/clone": CLONE,
    "/path/to/a/folder": f"{CLONE}/.local/typed/report",
    "/data/inbox": f"{CLONE}/.local/tutorial/shop",
    "/data/needle/runs": f"{CLONE}/.local/tutorial/runs",
    "/var/otel": f"{CLONE}/.local/tutorial/otel",
    "/srv/app": CLONE,
    " secrets/": f" {CLONE}/.local/typed/secrets",
    " model_prices_and_context_window.json": f" {CLONE}/.local/typed/prices.json",
    "postgresql://postgres:...@db.<project>.supabase.co:5432/postgres?sslmode=require": OWN,
    " receiver.yaml": f" {CLONE}/.local/typed/receiver.yaml",
    "PASSWORD=...": "PASSWORD=correct-horse-battery",
}
# Environment of a page, which it says is set.
GIVEN: Mapping[str, Mapping[str, str]] = {"docs/credentials.md": {"SCOUT_OWNER_DATABASE_URL": OWN}}
# In LiteLLM's format, of a model that the seed prices otherwise.
PRICES = {
    "claude-sonnet-4-5": {
        "input_cost_per_token": 1e-06,
        "output_cost_per_token": 1e-06,
        "litellm_provider": "anthropic",
        "mode": "chat",
    }
}
CHECKLIST = "quality-compass-checklist"
RECEIVER = "port: 8098\n"
# Commands that end otherwise than with 0, as their page says or because of the machine.
ENDS: Mapping[str, int] = {
    "python -m flows.agent_analytics.prices model_prices_and_context_window.json": 1,
    # The database of this machine has no TLS.
    ".venv/bin/python -m flows.quality_compass checklist": 1,
    f"prefect deployment run '{CHECKLIST}/{CHECKLIST}-manual' --watch": 1,
}
# Deployments, and flows without one, whose runs fail, as the page says.
FAILS: Mapping[str, frozenset[str]] = {
    "docs/runbooks/quality_compass.md": frozenset({CHECKLIST, f"{CHECKLIST}-manual"}),
}
# What a page says that its commands show.
ANSWERS: Mapping[str, tuple[str, ...]] = {
    "docs/tutorial.md": (
        "100 | 5100.00",
        "T-101",
        "it failed, as it should",
        "20261120080000",
        "12000",
        "create deployment my-repositories-daily",
    ),
    "README.md": ("The report: ", " pages in ", "Exit codes: 0 it worked"),
    "CONTRIBUTING.md": ("Nothing has changed.",),
    "docs/credentials.md": (
        "scout: every role may what it should and no more",
        "nothing of alerts to register: ALERTS_WEBHOOK_URL and ALERTS_EMAIL_URL not set",
    ),
    "docs/runbooks/quality_compass.md": (
        "FAIL  SSL is required and used",
        "pass  documentation is generated on prod",
    ),
    "docs/report.md": ("The report: ",),
    "docs/runbooks/webhooks.md": (
        '{"outcome":"stored","delivery_id":',
        "Replayed 1 delivery of scout",
    ),
}


def filled(command: str) -> str:
    for placeholder, value in FILLED.items():
        command = command.replace(placeholder, value)
    return command
