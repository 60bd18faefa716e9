"""The seed of prices beside a list that somebody else keeps.

    python -m flows.agent_analytics.prices model_prices_and_context_window.json

The file is in LiteLLM's format: an object of models by name, prices in USD per token. Nothing is
changed: which of the two is right, and from which day on, is for a person to find out.
"""

import argparse
import csv
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from flows._shared.errors import PermanentError
from flows._shared.input_files import open_input
from flows._shared.json_keys import SHOWN, DoubledKeyError, each_once
from flows._shared.numbers import NUMBER

SEED = Path(__file__).parents[2] / "dbt_projects/agent_analytics/seeds/model_prices.csv"
LARGEST_FILE = 64 * 1024**2
PROVIDERS = frozenset({"anthropic", "openai", "gemini", "vertex_ai-language-models"})
MODES = frozenset({"chat", "responses"})
FIELDS: Mapping[str, str] = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write_5m": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
}
# Behind the names of the seed whose prices are those of requests with a longer window.
LONG_WINDOW = "[1m]"
# What a difference is of that has no counterpart.
ALL = "all"
LONG_PRICE = re.compile(r"(?P<price>\w+)_above_(?P<bound>[0-9]{1,9})k_tokens")
MILLION = Decimal(1_000_000)
LARGEST_PRICE = Decimal(1_000_000)


@dataclass(frozen=True)
class Difference:
    """One price on which seed and file differ; None where either has none. USD per million, a
    multiple, or tokens of a prompt."""

    model: str
    price: str
    in_seed: Decimal | None
    in_file: Decimal | None


def read_seed(path: Path = SEED) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_list(path: Path) -> dict[str, Mapping[str, Any]]:
    """The models of such a file, by the name that the seed would give them.

    Raises:
        PermanentError: it is not such a file.
    """
    attempted = f"Reading the prices in {path}"
    remedy = "Give a file in LiteLLM's format: an object of models by name"
    try:
        with open_input(path) as file:
            text = file.read(LARGEST_FILE + 1)
        if len(text) > LARGEST_FILE:
            raise PermanentError(attempted, f"it has more than {LARGEST_FILE:,} bytes", remedy)
        content = json.loads(text, object_pairs_hook=each_once)
    except DoubledKeyError as error:
        raise PermanentError(attempted, str(error), "Take out the one that is wrong") from error
    except (OSError, ValueError, RecursionError) as error:
        raise PermanentError(attempted, f"{type(error).__name__}", remedy) from error
    if not isinstance(content, dict):
        raise PermanentError(attempted, "it is no JSON object", remedy)
    models: dict[str, Mapping[str, Any]] = {}
    for name, model in content.items():
        if isinstance(model, dict) and "/" not in name:
            as_in_seed = name.lower().replace(".", "-")
            if models.setdefault(as_in_seed, model) != model:
                seen = f"it tells of {as_in_seed[:SHOWN]!a} twice, in two spellings that differ"
                raise PermanentError(attempted, seen, "Take out the one that is wrong")
    return models


def differences(
    seed: Iterable[Mapping[str, str]], listed: Mapping[str, Mapping[str, Any]], day: date
) -> Iterator[Difference]:
    """Where the prices of that day differ, and what only one of the two has a price of."""
    of_day = {row["model_prefix"]: row for row in seed if _holds(row, day)}
    for name, row in of_day.items():
        model = listed.get(name.removesuffix(LONG_WINDOW))
        if model is None:
            yield Difference(name, ALL, Decimal(row["input"]), None)
            continue
        for column, field in FIELDS.items():
            told = _per_million(model.get(field))
            own = Decimal(row[column])
            if told is not None and told != own:
                yield Difference(name, column, own, told)
        for label, in_seed, in_file in _multiples(row, model):
            if in_file is not None and in_file != in_seed:
                yield Difference(name, label, in_seed, in_file)
    for name, model in listed.items():
        if name not in of_day and _is_of_interest(name, model, of_day):
            yield Difference(name, ALL, None, _per_million(model.get(FIELDS["input"])))


def _multiples(
    row: Mapping[str, str], model: Mapping[str, Any]
) -> Iterator[tuple[str, Decimal | None, Decimal | None]]:
    for column, told in _told_multipliers(model):
        yield column, _decimal(row[column]), told
    own = _decimal(row["long_prompt_above"])
    for bound in sorted(_bounds(model) - {own}):
        yield "long_prompt_above", own, bound
    for price, field in FIELDS.items():
        batch = "batch_multiplier"
        if price == "cache_read" and row["batch_cache_read_multiplier"]:
            batch = "batch_cache_read_multiplier"
        label = batch if price == "input" or batch != "batch_multiplier" else f"{batch} of {price}"
        yield label, _decimal(row[batch]), _ratio(model, f"{field}_batches", field)
        if own is not None:
            above = f"{field}_above_{int(own) // 1000}k_tokens"
            long = "long_output_multiplier" if price == "output" else "long_input_multiplier"
            label = long if price in ("input", "output") else f"{long} of {price}"
            yield label, _decimal(row[long]), _ratio(model, above, field)
            label = f"{batch} of long {price}"
            yield label, _decimal(row[batch]), _ratio(model, f"{above}_batches", above)


def _told_multipliers(model: Mapping[str, Any]) -> Iterator[tuple[str, Decimal | None]]:
    """Multipliers that the file gives as such, by their column of the seed."""
    entry = model.get("provider_specific_entry")
    own = entry if isinstance(entry, dict) else {}
    yield "fast_multiplier", _number(own.get("fast"))
    yield "regional_multiplier", _number(own.get("us"))
    yield "regional_multiplier", _number(model.get("regional_processing_uplift_multiplier_eu"))


def _ratio(model: Mapping[str, Any], field: str, base: str) -> Decimal | None:
    price, whole = _per_million(model.get(field)), _per_million(model.get(base))
    return price / whole if price is not None and whole else None


def _bounds(model: Mapping[str, Any]) -> set[Decimal]:
    """Tokens of a prompt above which the file has a price of its own."""
    prices = {FIELDS["input"], FIELDS["output"]}
    found = (LONG_PRICE.fullmatch(name) for name in model)
    return {Decimal(each["bound"]) * 1000 for each in found if each and each["price"] in prices}


def _holds(row: Mapping[str, str], day: date) -> bool:
    begins = date.fromisoformat(row["effective_from"])
    ends = date.fromisoformat(row["effective_to"] or "9999-12-31")
    return begins <= day < ends


def _is_of_interest(name: str, model: Mapping[str, Any], known: Mapping[str, object]) -> bool:
    """A model of these vendors that is priced by tokens and no dated name of a known one."""
    return (
        model.get("litellm_provider") in PROVIDERS
        and model.get("mode") in MODES
        and _per_million(model.get(FIELDS["input"])) is not None
        and not any(
            name.startswith(f"{prefix}-") and name[len(prefix) + 1 :].replace("-", "").isdecimal()
            and len(name[len(prefix) + 1 :].replace("-", "")) == len("20260101")
            for prefix in known
        )
    )  # fmt: skip


def _per_million(price: object) -> Decimal | None:
    number = _number(price)
    return None if number is None else (number * MILLION).normalize()


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    return _decimal(str(value))


def _decimal(text: str) -> Decimal | None:
    if not NUMBER.fullmatch(text):
        return None
    try:
        number = Decimal(text)
    except InvalidOperation:
        return None
    return number if number.is_finite() and abs(number) < LARGEST_PRICE else None


def _shown(price: Decimal | None) -> str:
    return "none" if price is None else f"{price:f}"


def report(found: Sequence[Difference]) -> str:
    """A line for each price on which the two differ, then the models that only one of them has."""
    lines = [f"{'model':32} {'USD per million':40} {'seed':>12} {'file':>12}"]
    lines += [
        f"{each.model:32} {each.price:40} {_shown(each.in_seed):>12} {_shown(each.in_file):>12}"
        for each in found
        if each.price != ALL
    ]
    models = [each for each in found if each.price == ALL]
    only_in_seed = ", ".join(each.model for each in models if each.in_file is None)
    only_in_file = ", ".join(each.model for each in models if each.in_seed is None)
    lines.append(f"Prices that differ: {len(lines) - 1}")
    lines.append(f"Only in the seed: {only_in_seed or 'none'}")
    lines.append(f"Only in the file: {only_in_file or 'none'}")
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the differences; 0 without any, 1 with some, 2 where the file cannot be read."""
    parser = argparse.ArgumentParser(description="The seed of prices beside a list in a file.")
    parser.add_argument("file", type=Path, help="prices in LiteLLM's format")
    parser.add_argument(
        "--day",
        type=date.fromisoformat,
        default=datetime.now(UTC).date(),
        help="compare the prices of this day (default: today)",
    )
    given = parser.parse_args(arguments)
    try:
        found = list(differences(read_seed(), read_list(given.file), given.day))
    except PermanentError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    sys.stdout.write(report(found))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
