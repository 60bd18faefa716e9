"""Clients that name the model of some of their requests only: nothing counts twice."""

import random
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from flows.agent_analytics import raw
from tests.agent_analytics import clients
from tests.agent_analytics.fleet import Marts

SEED = 20
SESSIONS = 400
MORNING = datetime(2026, 11, 2, 10, tzinfo=UTC)
ASLEEP = timedelta(hours=3)
SONNET, OPUS, HAIKU = "claude-sonnet-4-5", "claude-opus-4-5", "claude-haiku-4-5"
UNNAMED = "unknown"


@dataclass(frozen=True)
class Session:
    """What was used by part of the day and model, and what each side tells of it."""

    used: tuple[Counter[str], Counter[str]]
    events: tuple[Counter[str], Counter[str]]
    counters: tuple[Counter[str], Counter[str]]
    is_whole: bool

    def wanted(self) -> int:
        """What counts: of each part of the day, what the side that tells more does; model by
        model only where all of them are named."""
        told = [*self.events, *self.counters]
        if any(UNNAMED in each for each in told):
            sides = zip(self.events, self.counters, strict=True)
            return sum(max(one.total(), other.total()) for one, other in sides)
        return sum((one | other).total() for one, other in zip(*self.sides(), strict=True))

    def sides(self) -> tuple[tuple[Counter[str], Counter[str]], tuple[Counter[str], Counter[str]]]:
        return self.events, self.counters


# Sonnet is told by both, and events leave the model off some of it.
SMALLEST = Session(
    used=(Counter({SONNET: 80, OPUS: 20}), Counter()),
    events=(Counter({SONNET: 60, UNNAMED: 40}), Counter()),
    counters=(Counter({SONNET: 80, OPUS: 20}), Counter()),
    is_whole=True,
)


def drawn(draw: random.Random) -> Session:
    models = draw.sample([SONNET, OPUS, HAIKU], draw.randint(1, 3))
    losses = draw.choice([(0.0, 0.0), (0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (0.3, 0.3)])
    left_off = draw.choice([(0.5, 0.0), (0.0, 0.5), (0.5, 0.5), (1.0, 0.3), (0.3, 1.0)])
    parts = draw.choice([1, 2])
    used, events, counters = ((Counter[str](), Counter[str]()) for _ in range(3))
    for _ in range(draw.randint(1, 8)):
        part, model, tokens = draw.randrange(parts), draw.choice(models), draw.randint(1, 100)
        used[part][model] += tokens
        for side, lost, unnamed in zip((events, counters), losses, left_off, strict=True):
            if draw.random() >= lost:
                side[part][UNNAMED if draw.random() < unnamed else model] += tokens
    return Session(used, events, counters, is_whole=not any(losses))


def lines(name: str, session: Session) -> list[str]:
    made = []
    names: dict[str, object] = {"session.id": name, "developer_id": name}
    for part, (events, counters) in enumerate(zip(*session.sides(), strict=True)):
        moment = MORNING + part * ASLEEP
        for model, tokens in events.items():
            told = names | ({} if model == UNNAMED else {"model": model})
            told |= {"event.name": "x.api_request", "input_tokens": str(tokens)}
            request_id = f"{name} {part} {model}"
            made.append(clients.events("x", moment, told | {"request_id": request_id}))
        for model, tokens in counters.items():
            told = names | ({} if model == UNNAMED else {"model": model}) | {"type": "input"}
            until = moment + timedelta(minutes=1)
            points = [(told, float(tokens))]
            made.append(clients.counter("x", "x.token.usage", points, moment, until))
    return made


@pytest.fixture(scope="module")
def sessions() -> dict[str, Session]:
    draw = random.Random(SEED)
    return {"smallest": SMALLEST} | {f"session {n}": drawn(draw) for n in range(SESSIONS)}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, sessions: dict[str, Session]) -> Marts:
    state = tmp_path_factory.mktemp("partly")
    marts = Marts(raw.Store(state / "marts.duckdb"), state)
    marts.load([line for name, session in sessions.items() for line in lines(name, session)])
    marts.run_to("int_token_costs")
    return marts


def counted(marts: Marts) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for name, model, tokens in marts.query(
        "select session_id, model_name, cast(sum(total_input_tokens) as bigint) "
        "from intermediate.int_token_costs group by all"
    ):
        found.setdefault(name, Counter())[model] = tokens
    return found


def test_what_is_named_in_part_counts_once(built: Marts, sessions: dict[str, Session]) -> None:
    seen = counted(built)
    wrong = {
        name: (session, seen.get(name))
        for name, session in sessions.items()
        if seen.get(name, Counter()).total() != session.wanted()
    }
    assert not wrong
    used = {name: sum(part.total() for part in each.used) for name, each in sessions.items()}
    assert all(seen[name].total() <= used[name] for name in seen), "more than was used"


def test_what_is_named_in_part_has_no_price_that_it_cannot_have(
    built: Marts, sessions: dict[str, Session]
) -> None:
    seen = counted(built)
    for name, session in sessions.items():
        names = {model for side in session.sides() for part in side for model in part} - {UNNAMED}
        if session.is_whole and len(names) > 1:
            used = session.used[0] + session.used[1]
            named = Counter({m: n for m, n in seen[name].items() if m != UNNAMED})
            assert named <= used, (session, seen[name])
    assert seen["smallest"] == Counter({SONNET: 60, UNNAMED: 40})
