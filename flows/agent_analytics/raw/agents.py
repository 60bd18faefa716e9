"""By which names the agents are known, and where they tell of tokens.

What an event's attribute or a counter's type counts as is in dbt's seed ``agent_signals``.
"""

from collections.abc import Mapping

# Agent by names of services, and by beginnings of the names of metrics and events.
SERVICES: Mapping[str, str] = {
    "claude-code": "claude_code",
    "codex": "codex",
    "gemini-cli": "gemini_cli",
    "opencode": "opencode",
    "copilot": "github_copilot",
    "copilot-chat": "github_copilot",
    "github-copilot": "github_copilot",
}
PREFIXES: Mapping[str, str] = {
    "claude_code": "claude_code",
    "codex": "codex",
    "gemini_cli": "gemini_cli",
    "opencode": "opencode",
    "copilot_chat": "github_copilot",
    "github.copilot": "github_copilot",
}
USAGE_METRIC = (
    r"[._]token[._]usage$|\.cost\.usage$|\.tokens\.|^gen_ai\.client\.inference\.(usage|operation)\."
)
EVENT_ATTRIBUTES = (
    "input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cache_read_tokens",
    "cache_creation_tokens",
    "input_token_count",
    "output_token_count",
    "cached_token_count",
    "cached_content_token_count",
    "reasoning_token_count",
    "thoughts_token_count",
    "tool_token_count",
    "gen_ai.usage.input_tokens",
    "gen_ai.usage.output_tokens",
    "gen_ai.usage.cache_read.input_tokens",
    "gen_ai.usage.cache_creation.input_tokens",
    "gen_ai.usage.cache_write.input_tokens",
    "gen_ai.usage.reasoning.output_tokens",
)

# As SQL. A program of Codex has its own name of the service: codex_cli_rs, codex_exec, codex_tui.
AGENT_OF_NAME = "case {} end".format(
    " ".join(
        [
            *(f"when lower(name) = '{name}' then '{agent}'" for name, agent in SERVICES.items()),
            *(
                f"when starts_with(lower(name), '{name}.') or lower(name) = '{name}' then '{agent}'"
                for name, agent in PREFIXES.items()
            ),
            "when regexp_matches(lower(name), '^codex[-_ ]') then 'codex'",
        ]
    )
)
USAGE_ATTRIBUTES = "[{}]".format(", ".join(f"'$.\"{name}\"'" for name in EVENT_ATTRIBUTES))
