"""Decisions about rows: what a commit or a day of Copilot's report says."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from flows._shared.counted import counted
from flows._shared.json_keys import Again, few, keep_twice, whole_or_infinite
from flows._shared.numbers import number, whole_number
from flows._shared.placeholders import known_id
from flows._shared.weighed import has_more_values
from flows.agent_analytics.records import Commit, CopilotDay, UnreadableTelemetryError

ORGANIZATION = "__org__"
CODE_COMPLETION = "code_completion"
HASH_LENGTHS = (40, 64)
LARGEST_COUNT = 2_147_483_647
LARGEST_TOKENS = 10**12
# Of a request, body or row: what a run's memory holds of them. The receiver takes fewer.
MOST_VALUES = 1_200_000
TRUE = frozenset({"true", "yes", "1"})
FALSE = frozenset({"false", "no", "0", ""})
AGENTS = {
    **{each: each for each in ("claude_code", "codex", "gemini_cli", "opencode", "cursor")},
    **dict.fromkeys(("copilot", "copilot_chat", "github_copilot"), "github_copilot"),
    "codex_cli": "codex",
    "gemini": "gemini_cli",
}


def shown(path: Path) -> str:
    """A name of bytes that are no UTF-8 is none that a database takes."""
    return str(path).encode(errors="backslashreplace").decode()


def too_many_values(tried: str) -> UnreadableTelemetryError:
    return UnreadableTelemetryError(
        tried, f"more than {counted(MOST_VALUES, 'value')}", "Let the sender send smaller batches"
    )


def commit_rows(body: bytes) -> list[Any]:
    """The rows of a body sent to ``/v1/commits``: one, a list, or an object with ``commits``.

    Raises:
        UnreadableTelemetryError: it has too many values.
    """
    if has_more_values(body, MOST_VALUES):
        raise too_many_values("Reading commits")
    content = json.loads(body, object_pairs_hook=few(keep_twice), parse_int=whole_or_infinite)
    if isinstance(content, dict):
        is_doubled = any(isinstance(key, Again) for key in content)
        content = [content] if is_doubled else content.get("commits", [content])
    return content if isinstance(content, list) else [content]


def commit_of(row: Mapping[str, Any]) -> Commit:
    """A commit as the post-commit hook sends it. Raises ValueError or KeyError, saying why not."""
    commit_hash = str(row["commit_hash"]).strip().lower()
    is_hash = len(commit_hash) in HASH_LENGTHS and not set(commit_hash) - set("0123456789abcdef")
    if not is_hash or known_id(commit_hash) is None:
        raise ValueError("commit_hash is not a commit hash")
    return Commit(
        commit_hash=commit_hash,
        message=str(row.get("commit_message") or ""),
        author_name=str(row.get("author_name") or ""),
        author_email=str(row.get("author_email") or ""),
        committed_at=moment_of(row["commit_timestamp"]),
        files_changed=_count(row, "files_changed"),
        lines_added=_count(row, "lines_added"),
        lines_deleted=_count(row, "lines_deleted"),
        is_agent_assisted=_truth(row, "agent_assisted"),
        agent_session_id=known_id(_text(row, "agent_session_id")),
        agent_type=agent_type_of(_text(row, "agent_type")),
        developer_id=known_id(_text(row, "developer_id")),
        project_id=_text(row, "project_id"),
    )


def moment_of(value: object) -> datetime:
    """UTC without an offset, from Unix seconds or ISO 8601 (without an offset: UTC)."""
    if isinstance(value, bool):
        raise ValueError("commit_timestamp is neither Unix seconds nor ISO 8601")
    try:
        if isinstance(value, int | float):
            moment = datetime.fromtimestamp(value, UTC)
        else:
            moment = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        raise ValueError("commit_timestamp is neither Unix seconds nor ISO 8601") from None
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment


def agent_type_of(name: str | None) -> str | None:
    """One name for each agent, however it is spelled; another one is as it was sent."""
    spelled = re.sub(r"[\s-]+", "_", name.lower()) if name else ""
    return AGENTS.get(spelled, name)


def copilot_day(row: Mapping[str, Any]) -> CopilotDay:
    """One user and day of the usage-metrics report: completions only.

    Edits by the agent are lines added that nobody was offered: with them more would be accepted
    than suggested. A report without the split by feature is taken whole.

    Raises:
        ValueError, KeyError: the row has no day or no user.
    """
    split = row.get("totals_by_feature")
    if isinstance(split, list):
        parts = [part for part in split if part.get("feature") == CODE_COMPLETION]
    else:
        parts = [dict(row)]
    languages: dict[str, int] = {}
    for part in row.get("totals_by_language_feature") or []:
        if part.get("feature") == CODE_COMPLETION:
            name = str(part.get("language") or "unknown")
            languages[name] = languages.get(name, 0) + _sum(
                [part], "code_generation_activity_count"
            )
    login = str(row["user_login"] or "").strip().lower()
    if not login:
        raise ValueError("user_login is empty")
    return CopilotDay(
        day=date.fromisoformat(str(row["day"])),
        developer_id=login,
        suggestions=_sum(parts, "code_generation_activity_count"),
        acceptances=_sum(parts, "code_acceptance_activity_count"),
        lines_suggested=_sum(parts, "loc_suggested_to_add_sum"),
        lines_accepted=_sum(parts, "loc_added_sum"),
        active_users=1,
        languages=languages,
        ai_credits=_credits(row),
        **_requests(row, "cli", "totals_by_cli"),
        **_requests(row, "app", "totals_by_copilot_app"),
    )


def _credits(row: Mapping[str, Any]) -> float | None:
    if row.get("ai_credits_used") is None:
        return None
    credits_used = number(row["ai_credits_used"])
    if not 0 <= credits_used <= LARGEST_COUNT:
        raise ValueError("ai_credits_used is not a number of credits")
    return credits_used


def _requests(row: Mapping[str, Any], name: str, totals: str) -> dict[str, int]:
    told = row.get(totals) or {}
    tokens = told.get("token_usage") or {}
    return {
        f"{name}_requests": _sum([told], "request_count"),
        f"{name}_prompt_tokens": _tokens(tokens, "prompt_tokens_sum"),
        f"{name}_output_tokens": _tokens(tokens, "output_tokens_sum"),
    }


def _tokens(told: Mapping[str, Any], name: str) -> int:
    """A developer's tokens of a day: more than what other counts may be."""
    tokens = whole_number(told.get(name) or 0)
    if not 0 <= tokens <= LARGEST_TOKENS:
        raise ValueError(f"{name} is not a count of tokens")
    return tokens


def legacy_copilot_day(row: Mapping[str, Any]) -> CopilotDay:
    """One day of the old organization-wide report, which knows no users."""
    completions = row.get("copilot_ide_code_completions") or {}
    parts: list[Mapping[str, Any]] = [
        language
        for editor in completions.get("editors") or []
        for model in editor.get("models") or []
        for language in model.get("languages") or []
    ]
    languages: dict[str, int] = {}
    for part in parts:
        name = str(part.get("name") or "unknown")
        languages[name] = languages.get(name, 0) + _sum([part], "total_code_suggestions")
    return CopilotDay(
        day=date.fromisoformat(str(row["date"])),
        developer_id=ORGANIZATION,
        suggestions=_sum(parts, "total_code_suggestions"),
        acceptances=_sum(parts, "total_code_acceptances"),
        lines_suggested=_sum(parts, "total_code_lines_suggested"),
        lines_accepted=_sum(parts, "total_code_lines_accepted"),
        active_users=_sum([row], "total_active_users"),
        languages=languages,
    )


def _text(row: Mapping[str, Any], name: str) -> str | None:
    return str(row[name]).strip() or None if row.get(name) is not None else None


def _truth(row: Mapping[str, Any], name: str) -> bool:
    """What is not said is false. Raises ValueError where it is neither true nor false."""
    said = str("" if row.get(name) is None else row[name]).strip().lower()
    if said not in TRUE | FALSE:
        raise ValueError(f"{name} is neither true nor false")
    return said in TRUE


def _count(row: Mapping[str, Any], name: str) -> int | None:
    if row.get(name) is None:
        return None
    count = whole_number(row[name])
    if not 0 <= count <= LARGEST_COUNT:
        raise ValueError(f"{name} is not a count")
    return count


def _sum(parts: Sequence[Mapping[str, Any]], name: str) -> int:
    counts = [whole_number(part.get(name) or 0) for part in parts]
    if any(not 0 <= count <= LARGEST_COUNT for count in counts):
        raise ValueError(f"{name} is not a count")
    return sum(counts)
