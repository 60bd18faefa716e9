"""The seed of prices beside a list in LiteLLM's format."""

import json
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from flows._shared.errors import PermanentError
from flows.agent_analytics import prices
from flows.agent_analytics.prices import Difference

DAY = date(2026, 11, 1)


def listed(**models: dict[str, object]) -> dict[str, object]:
    """A list that agrees with the seed on Opus 5.5 and Haiku 5.5, but for what is given."""
    opus = {
        "litellm_provider": "anthropic",
        "mode": "chat",
        "input_cost_per_token": 4e-06,
        "input_cost_per_token_batches": 2e-06,
        "output_cost_per_token": 2e-05,
        "cache_read_input_token_cost": 2e-07,
        "cache_creation_input_token_cost": 5e-06,
        "cache_creation_input_token_cost_above_1hr": 8e-06,
    }
    haiku = {
        "input_cost_per_token": 1e-07,
        "input_cost_per_token_above_100k_tokens": 5e-07,
        "output_cost_per_token": 5e-07,
        "output_cost_per_token_above_100k_tokens": 2.5e-06,
    }
    return {"claude-opus-5.5": opus, "claude-haiku-5-5": haiku, **models}


def compared(tmp_path: Path, content: object) -> list[Difference]:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(content))
    found = prices.differences(prices.read_seed(), prices.read_list(path), DAY)
    return [each for each in found if each.in_file is not None]


def test_a_list_that_agrees_has_no_differences(tmp_path: Path) -> None:
    assert compared(tmp_path, listed()) == []


def test_every_price_that_differs_is_told(tmp_path: Path) -> None:
    content = listed()
    opus, haiku = content["claude-opus-5.5"], content["claude-haiku-5-5"]
    assert isinstance(opus, dict)
    assert isinstance(haiku, dict)
    opus |= {"cache_read_input_token_cost": "3e-07", "input_cost_per_token_batches": 3e-06}
    haiku |= {"output_cost_per_token_above_100k_tokens": 5e-06}
    assert compared(tmp_path, content) == [
        Difference("claude-opus-5-5", "cache_read", Decimal("0.20"), Decimal("0.3")),
        Difference("claude-opus-5-5", "batch_multiplier", Decimal("0.5"), Decimal("0.75")),
        Difference("claude-haiku-5-5", "long_output_multiplier", Decimal(5), Decimal(10)),
    ]


def test_every_multiple_of_the_seed_is_compared(tmp_path: Path) -> None:
    opus: dict[str, object] = {
        "provider_specific_entry": {"fast": 2, "us": 1.1},
        "output_cost_per_token": 2e-05,
        "output_cost_per_token_batches": 1e-05,
        "cache_creation_input_token_cost": 5e-06,
        "cache_creation_input_token_cost_batches": 2.5e-06,
    }
    haiku = {
        "cache_read_input_token_cost": 1e-08,
        "cache_read_input_token_cost_above_100k_tokens": 5e-08,
    }
    gemini = {
        "cache_read_input_token_cost": 1.25e-07,
        "cache_read_input_token_cost_batches": 1.25e-07,
        "input_cost_per_token_above_200k_tokens": 2.5e-06,
        "input_cost_per_token_above_200k_tokens_batches": 1.25e-06,
    }
    gpt: dict[str, object] = {"regional_processing_uplift_multiplier_eu": 1.1}
    content = {
        "claude-opus-5-5": opus, "claude-haiku-5-5": haiku, "gemini-2.5-pro": gemini, "gpt-5.4": gpt
    }  # fmt: skip
    assert compared(tmp_path, content) == []
    opus |= {
        "provider_specific_entry": {"fast": 3, "us": 1.2},
        "output_cost_per_token_batches": 1.5e-05,
        "cache_creation_input_token_cost_batches": 1e-06,
    }
    haiku["cache_read_input_token_cost_above_100k_tokens"] = 2e-08
    gemini |= {
        "cache_read_input_token_cost_batches": 6.25e-08,
        "input_cost_per_token_above_200k_tokens_batches": 2.5e-06,
    }
    gpt["regional_processing_uplift_multiplier_eu"] = 1.3
    assert {(each.model, each.price, each.in_seed, each.in_file) for each in compared(
        tmp_path, content
    )} == {
        ("claude-opus-5-5", "fast_multiplier", Decimal(2), Decimal(3)),
        ("claude-opus-5-5", "regional_multiplier", Decimal("1.1"), Decimal("1.2")),
        ("claude-opus-5-5", "batch_multiplier of output", Decimal("0.5"), Decimal("0.75")),
        ("claude-opus-5-5", "batch_multiplier of cache_write_5m", Decimal("0.5"), Decimal("0.2")),
        ("claude-haiku-5-5", "long_input_multiplier of cache_read", Decimal(5), Decimal(2)),
        ("gemini-2-5-pro", "batch_cache_read_multiplier", Decimal(1), Decimal("0.5")),
        ("gemini-2-5-pro", "batch_multiplier of long input", Decimal("0.5"), Decimal(1)),
        ("gpt-5-4", "regional_multiplier", Decimal("1.1"), Decimal("1.3")),
    }  # fmt: skip


@pytest.mark.parametrize(("bound", "own"), [(200, None), (128, None), (100, 200_000)])
def test_a_bound_of_long_prompts_that_differs_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], bound: int, own: int | None
) -> None:
    name = "gemini-2.5-pro" if own else "claude-opus-4-5"
    content = {name: {f"input_cost_per_token_above_{bound}k_tokens": 1e-05}}
    assert [each for each in compared(tmp_path, content) if each.price != "all"] == [
        Difference(
            name.replace(".", "-"), "long_prompt_above", Decimal(own) if own else None,
            Decimal(bound * 1000),
        )
    ]  # fmt: skip
    assert prices.main([str(tmp_path / "prices.json"), "--day", str(DAY)]) == 1
    shown = capsys.readouterr().out
    assert "long_prompt_above" in shown
    assert "Prices that differ: 1\n" in shown
    assert "Only in the file: none\n" in shown


def test_a_long_price_agrees_under_the_plain_name_of_a_model(tmp_path: Path) -> None:
    sonnet = {
        "input_cost_per_token": 3e-06,
        "input_cost_per_token_above_200k_tokens": 6e-06,
        "output_cost_per_token": 1.5e-05,
        "output_cost_per_token_above_200k_tokens": 2.25e-05,
    }
    assert compared(tmp_path, {"claude-sonnet-4-5": sonnet}) == []
    sonnet["input_cost_per_token_above_200k_tokens"] = 9e-06
    assert {each.model for each in compared(tmp_path, {"claude-sonnet-4-5": sonnet})} == {
        "claude-sonnet-4-5", "claude-sonnet-4-5[1m]",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "cache_read", "first_day"),
    [
        ("claude-sonnet-5-5", 2e-07, date(2026, 10, 7)),
        *(
            (f"gemini-3.{version}-flash", 7.5e-08, date(2027, 1, 1))
            for version in (6, 7, 8)
        ),
    ],
)  # fmt: skip
def test_a_price_is_that_of_the_day(
    tmp_path: Path, model: str, cache_read: float, first_day: date
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({model: {"cache_read_input_token_cost": cache_read}}))
    for day, wanted in ((first_day - timedelta(days=1), 0), (first_day, 1)):
        found = prices.differences(prices.read_seed(), prices.read_list(path), day)
        assert len([each for each in found if each.price == "cache_read"]) == wanted


def test_what_only_the_list_has_is_named_once(tmp_path: Path) -> None:
    new = {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 1e-05}
    content = listed(
        **{
            "claude-fable-6": new,
            "claude-opus-5-5-20261101": new,
            "elsewhere/claude-fable-6": new,
            "pictures-1": {**new, "mode": "image_generation"},
        }
    )
    assert compared(tmp_path, content) == [Difference("claude-fable-6", "all", None, Decimal(10))]


@pytest.mark.parametrize(
    "price", [None, True, "free", float("nan"), float("inf"), [], {}, "1e999999"]
)
def test_what_is_no_price_is_none(tmp_path: Path, price: object) -> None:
    content = listed(**{"claude-opus-5-5": {"input_cost_per_token": price}})
    del content["claude-opus-5.5"]
    assert [each for each in compared(tmp_path, content) if each.price != "all"] == []


@pytest.mark.parametrize("text", ["", "[]", "[" * 100_000, "{"])
def test_a_file_of_another_kind_is_refused(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text)
    assert prices.main([str(path)]) == 2
    assert "LiteLLM" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"gpt-5.2": {}, "gpt-5.2": {"mode": "chat"}}', "'gpt-5.2' twice"),
        ('{"gpt-5.2": {"mode": "chat", "mode": "x"}}', "'mode' twice"),
        ('{"gpt-5.2": {}, "GPT-5-2": {"mode": "chat"}}', "'gpt-5-2' twice"),
    ],
)
def test_a_file_that_tells_twice_of_a_model_is_refused_with_its_name(
    tmp_path: Path, text: str, said: str
) -> None:
    path = tmp_path / "prices.json"
    path.write_text(text)
    with pytest.raises(PermanentError, match=said):
        prices.read_list(path)


def test_the_command_shows_both_prices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "prices.json"
    path.write_text(json.dumps({"claude-opus-5-5": {"input_cost_per_token": 5e-06}}))
    assert prices.main([str(path), "--day", "2026-11-01"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert shown[1].split() == ["claude-opus-5-5", "input", "4", "5"]
    assert shown[2] == "Prices that differ: 1"
    assert prices.main([str(tmp_path / "none.json")]) == 2
