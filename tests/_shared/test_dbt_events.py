"""What a listener hears of a build when only heard events are made, and templates are kept."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from dbt.cli.main import dbtRunner
from dbt_common.clients import jinja
from dbt_common.events.base_types import BaseEvent
from dbt_common.events.event_manager import EventManager
from dbt_common.events.types import Note

from flows._shared.environment import set_environment
from flows._shared.orchestration import dbt_templates
from flows._shared.orchestration.dbt_events import events_that_are_heard
from flows._shared.orchestration.dbt_flags import flags_without_stacks
from flows._shared.orchestration.dbt_nodes import HEARD
from flows._shared.orchestration.dbt_templates import templates_compiled_once
from tests._shared.dbt_sample import write_sample

Heard = list[tuple[str, str]]


class Sample:
    """The sample, parsed: of dbt's own macros that takes longer than a build."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._project = write_sample(folder, with_failure=True)
        self.dbt("parse")

    def build(self) -> Heard:
        """What a listener hears of a build from nothing."""
        (self._folder / "sample.duckdb").unlink(missing_ok=True)
        return self.dbt("build")

    def dbt(self, command: str) -> Heard:
        heard: Heard = []

        def hear(event: Any) -> None:
            heard.append((event.info.level, event.info.name))

        places = ["--project-dir", str(self._project), "--profiles-dir", str(self._project)]
        places += ["--target-path", str(self._folder / "target")]
        places += ["--log-path", str(self._folder / "logs")]
        environment = {"SAMPLE_PATH": str(self._folder / "sample.duckdb")}
        with set_environment(environment), flags_without_stacks():
            dbtRunner(callbacks=[hear]).invoke([command, "--quiet", "--threads", "1", *places])
        return heard


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Sample:
    return Sample(tmp_path_factory.mktemp("sample"))


@pytest.fixture(scope="module")
def of_everything(sample: Sample) -> Heard:
    return sample.build()


@pytest.fixture(scope="module")
def of_what_is_heard(sample: Sample) -> Heard:
    with events_that_are_heard(HEARD):
        return sample.build()


def test_a_listener_hears_every_word_on_nodes_and_every_line_that_people_see(
    of_everything: Heard, of_what_is_heard: Heard
) -> None:
    wanted = {
        (level, name): count
        for (level, name), count in Counter(of_everything).items()
        if level != "debug" or name in HEARD
    }
    assert Counter(of_what_is_heard) == wanted
    assert {name for _, name in wanted} > {"NodeStart", "NodeFinished", "LogTestResult"}
    assert {level for level, _ in wanted} == {"debug", "info", "warn", "error"}


def test_dbt_is_as_it_was_afterwards(of_what_is_heard: Heard) -> None:
    assert "pb_msg" not in vars(BaseEvent)
    assert Note(msg="a note").msg == "a note"
    assert EventManager.fire_event.__module__ == EventManager.__module__


def test_an_event_says_what_it_was_made_with() -> None:
    with events_that_are_heard(HEARD):
        note = Note(msg="a note")
        assert note.msg == "a note"
        assert note.message() == "a note"
        note.msg = "another"
        assert note.to_dict() == {"msg": "another"}
        with pytest.raises(AssertionError, match="positional"):
            Note("a note").to_dict()


def test_a_text_is_compiled_once_and_rendered_with_each_context() -> None:
    text = "select {{ which }} as kept_by_test_dbt_events"
    with templates_compiled_once():
        first, second = (
            jinja.get_template(text, {"which": number}).render({"which": number})
            for number in (1, 2)
        )
    assert (first, second) == (
        "select 1 as kept_by_test_dbt_events",
        "select 2 as kept_by_test_dbt_events",
    )
    kept = [key for key in dbt_templates._compiled if key[1] == text]
    assert kept == [(jinja.MacroFuzzEnvironment, text)]


def test_a_syntax_error_is_told_each_time() -> None:
    with templates_compiled_once():
        for _ in range(2):
            with pytest.raises(Exception, match="Expected an expression"):
                jinja.get_template("{% if %}", {})
