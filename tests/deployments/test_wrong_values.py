"""Values of which Prefect, a run or applying can make nothing: each is told, none ends the check.

The sentence names the deployment, the key, what was seen and what is right.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from deployments.apply.__main__ import main as apply
from deployments.apply.files import declared
from deployments.check import Project, main, problems
from deployments.prefork.warmth import LIBRARIES, modules_of_runs
from flows._shared.errors import PermanentError
from tests.deployments.test_check import AUTOMATION, GOOD, LIMIT
from tests.deployments.test_check import project as project

NAME = "scout-bronze-daily"
Case = tuple[str, Any, str]

# The path of a value in the entry, a wrong value (or none: the key goes), what is told.
GONE = object()
VALUES: list[Case] = [
    # Amounts of memory and CPU.
    ("work_pool.job_variables.memory_limit", "512MB", 'memory_limit is "512MB": '),
    ("work_pool.job_variables.memory_limit", "512M", "give MiB or GiB, such as 512Mi or 1.5Gi"),
    ("work_pool.job_variables.memory_limit", "0", 'memory_limit is "0": '),
    ("work_pool.job_variables.memory_limit", "0Mi", 'memory_limit is "0Mi": '),
    ("work_pool.job_variables.memory_limit", "-512Mi", 'memory_limit is "-512Mi": '),
    ("work_pool.job_variables.memory_limit", None, "memory_limit is null: "),
    ("work_pool.job_variables.memory_limit", 512, "memory_limit is 512: "),
    ("work_pool.job_variables.memory_limit", ["1Gi"], 'memory_limit is ["1Gi"]: '),
    ("work_pool.job_variables.memory_request", "2Gi", "memory_request is 2Gi, more than memory_l"),
    ("work_pool.job_variables.cpu_limit", 1, "cpu_limit is 1: "),
    ("work_pool.job_variables.cpu_limit", "half", 'cpu_limit is "half": '),
    ("work_pool.job_variables.env", "A=B", 'env is "A=B": '),
    ("work_pool.job_variables.env", {"A": 1}, "env.A is 1: none of string, null"),
    *(
        (
            "work_pool.job_variables.state_volume",
            {"name": "state", "persistentVolumeClaim": {"claimName": name}},
            f"claimName is {told}: it is no name that Kubernetes takes; give a name as of a host",
        )
        for name, told in (("Agent_State", '"Agent_State"'), ("state-", '"state-"'), (7, "7"))
    ),
    ("work_pool.job_variables", None, "work_pool.job_variables is null: "),
    ("work_pool.job_variables", ["cpu_limit"], 'work_pool.job_variables is ["cpu_limit"]: '),
    ("work_pool.name", 7, "work_pool.name is 7: "),
    ("work_pool.work_queue_name", "fast", "work_queue_name is fast: no pool here has that queue"),
    ("work_pool", "kubernetes", 'work_pool is "kubernetes": '),
    ("work_pool", None, "work_pool is null: "),
    # Schedules.
    ("schedules.0.cron", "0 25 * * *", 'schedule daily: cron is "0 25 * * *": invalid cron string'),
    ("schedules.0.cron", "daily", "give five fields, such as 0 3 * * *"),
    ("schedules.0.cron", "15 * * * * *", "it has 6 fields, and the sixth would be of seconds"),
    ("schedules.0.cron", "* * * * * * 2024", "it has 7 fields"),
    ("schedules.0.cron", "0 4 30 2 *", 'cron is "0 4 30 2 *": it names a moment that never comes'),
    ("schedules.0.cron", 5, "schedule daily: cron is 5: "),
    ("schedules.0.cron", None, "schedule daily: cron is null: "),
    ("schedules.0.cron", GONE, "it has not exactly one of cron, interval and rrule"),
    ("schedules.0.interval", 60, "it has not exactly one of cron, interval and rrule"),
    ("schedules.0.timezone", "Europe/Atlantis", 'timezone is "Europe/Atlantis": '),
    ("schedules.0.timezone", None, "timezone is null: "),
    ("schedules.0.active", "maybe", 'active is "maybe": it is neither true nor false'),
    ("schedules.0.day_or", "sometimes", 'day_or is "sometimes": '),
    ("schedules.0.slug", "", 'slug is "": '),
    ("schedules.0.parameters", "all", 'parameters is "all": '),
    ("schedules.0.parameters", {"layer": ["gold"]}, 'layer is ["gold"]: '),
    ("schedules.0", "daily", 'schedule 1: it is "daily": it has not exactly one of'),
    ("schedules.0", None, "schedule 1: it is null: "),
    ("schedules", {"slug": "daily"}, 'schedules is {"slug": "daily"}: '),
    ("schedules", "daily", 'schedules is "daily": '),
    # Concurrency.
    ("concurrency_limit", -1, "concurrency_limit is -1: "),
    ("concurrency_limit", 0, "concurrency_limit is 0: "),
    ("concurrency_limit", "1", 'concurrency_limit is "1": '),
    ("concurrency_limit", [1], "concurrency_limit is [1]: "),
    ("concurrency_limit.limit", 1.5, "concurrency_limit.limit is 1.5: "),
    ("concurrency_limit.limit", True, "concurrency_limit.limit is true: "),
    ("concurrency_limit.limit", GONE, "concurrency_limit.limit is missing: give a whole number"),
    ("concurrency_limit.collision_strategy", "WAIT", 'collision_strategy is "WAIT": '),
    ("concurrency_limit.grace_period_seconds", 5, "grace_period_seconds is 5: "),
    # What a deployment is.
    ("name", None, "deployment 1: name is null: "),
    ("name", 7, "deployment 1: name is 7: "),
    ("name", GONE, "deployment 1: name is missing: give"),
    ("name", "scout/bronze", 'scout/bronze: name is "scout/bronze": '),
    ("name", "scout-\U0001f4a5-\u202eyliad", "scout-bronze"),
    ("entrypoint", GONE, "entrypoint is missing: give"),
    ("entrypoint", ["flows"], 'entrypoint is ["flows"]: '),
    ("entrypoint", "refresh", 'entrypoint is "refresh": '),
    ("entrypoint", "..", 'entrypoint is "..": '),
    ("entrypoint", "flows.scout", 'entrypoint is "flows.scout": '),
    ("description", 7, "description is 7: "),
    ("description", None, "description is null: "),
    ("version", 7, "version is 7: "),
    ("tags", "analytics-flows", 'tags is "analytics-flows": '),
    ("tags", None, "tags is null: "),
    ("tags", ["analytics-flows", "scout", 7], "tags[2] is 7: "),
    ("paused", "no", 'paused is "no": '),
    ("enforce_parameter_schema", 1, "enforce_parameter_schema is 1: "),
    ("parameters", ["layer"], 'parameters is ["layer"]: '),
    ("parameters", {"layer": 7}, "refuses its parameters: layer is 7: "),
    ("parameters", {"settings": {"foldr": "x"}}, "refuses its parameters: settings is "),
    ("parameters", {"settings": 7}, "refuses its parameters: settings is 7: "),
    ("parameters", {"laier": "gold"}, "takes no parameter laier"),
    ("parameters", {"layer": float("nan")}, "JSON cannot have it"),
    ("schedule", {"cron": "0 3 * * *"}, "schedule is a key that Prefect ignores"),
    # Triggers.
    ("triggers.0", None, "trigger 1: it is null: "),
    ("triggers.0", ["expect"], "trigger 1: it is "),
    ("triggers", {"name": "x"}, 'triggers is {"name": "x"}: '),
    ("triggers.0.type", "evnt", "trigger on delivery: it is "),
    ("triggers.0.type", ["event"], "trigger on delivery: it is "),
    ("triggers.0.name", 7, "trigger 1: name is 7: "),
    ("triggers.0.expect", "scout.delivery.received", "trigger on delivery: expect is "),
    ("triggers.0.expect", [7], "trigger on delivery: expect[0] is 7: "),
    ("triggers.0.expect", None, "trigger on delivery: expect is null: "),
    ("triggers.0.match", "scout", "trigger on delivery: match is "),
    ("triggers.0.match", {"prefect.resource.id": 7}, "trigger on delivery: match"),
    ("triggers.0.match_related", 7, "trigger on delivery: match_related is 7: "),
    ("triggers.0.match_related", ["x"], "trigger on delivery: match_related"),
    (
        "triggers.0.match_related",
        [{"prefect.resource.role": "deployment", "prefect.resource.name": "nowhere"}],
        "there is no deployment nowhere",
    ),
    (
        "triggers.0.match_related",
        {"prefect.resource.role": ["deployment"], "prefect.resource.name": 7},
        "trigger on delivery: match_related",
    ),
    ("triggers.0.within", -5, "trigger on delivery: within is -5: "),
    ("triggers.0.within", None, "trigger on delivery"),
    ("triggers.0.posture", "Sleepy", "trigger on delivery: posture is "),
    ("triggers.0.schedule_after", "later", 'schedule_after is "later": '),
    ("triggers.0.schedule_after", -1, "schedule_after is -1: "),
    ("triggers.0.threshold", 0, "threshold is 0: "),
    ("triggers.0.threshold", "one", 'threshold is "one": '),
    ("triggers.0.parameters.layer.__prefect_kind", "jinjer", "give the template explicitly"),
    ("triggers.0.parameters.layer.__prefect_kind", ["jinja"], "give the template explicitly"),
    ("triggers.0.parameters.layer.template", 7, "give the template explicitly"),
    ("triggers.0.parameters.layer.template", GONE, "give the template explicitly"),
    ("triggers.0.parameters", "layer", 'parameters is "layer": '),
    ("triggers.0.parameters", {"layer": ["gold"]}, 'layer is ["gold"]: '),
]
ANOTHER_KIND = [
    ({"interval": 0}, "interval is 0: "),
    ({"interval": "soon"}, 'interval is "soon": '),
    ({"interval": -60}, "interval is -60: "),
    ({"interval": 60, "anchor_date": "never"}, 'anchor_date is "never": '),
    ({"rrule": "FREQ=SOMETIMES"}, 'rrule is "FREQ=SOMETIMES": '),
    ({"rrule": "daily"}, 'rrule is "daily": '),
    ({"rrule": 7}, "rrule is 7: "),
    ({"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30"}, "its rrule names a moment that never comes"),
    ({"rrule": "FREQ=DAILY", "cron": "0 3 * * *"}, "it has not exactly one of"),
]
ENTRIES = [
    ("deployments:", "deployments is null"),
    ("deployments: {name: x}", 'deployments is {"name": "x"}'),
    ("deployments: scout", 'deployments is "scout"'),
    ("deployments: [null]", "deployment 1: it is null"),
    ("deployments: [[name, x]]", "deployment 1: it is "),
    ("deployments: [scout]", 'deployment 1: it is "scout"'),
    ("deployments: ['{{ scout }}']", "deployment 1: it is "),
    ("deployments: [{1: 2}]", "deployment 1: 1 is a key that Prefect ignores"),
    ("- deployments", "the file: it is "),
    ("", "the file: it is null"),
    ("deploymnts: []", "the file: deploymnts is a key that Prefect ignores"),
    ("name: x", "the file: deployments is missing: give a list of them"),
    ("deployments: &all [*all]", "line 1"),
    ("deployments: [&one {name: *one}]", "line 1"),
    ("deployments: [{name: 2026-13-45}]", "the file: month must be in 1..12"),
    ("deployments: [{name: !!binary x}]", "the file: failed to decode"),
    ("deployments: \xff", "the file: 'utf-8' codec can't decode"),
]
AUTOMATIONS = [
    ("7", "automation 1 of alerts.yaml: it is 7"),
    ("[null]", "automation 1 of alerts.yaml: it is null"),
    ("name: x", "automation x: trigger is missing"),
    (AUTOMATION.replace("a run failed", ""), "automation 1 of alerts.yaml: name is null"),
    (AUTOMATION.replace("[alerts-webhook]", "alerts-webhook"), "its blocks are no list of names"),
    (AUTOMATION.replace("[alerts-webhook]", "[]"), "its blocks are no list of names"),
    (
        f"{AUTOMATION.split('trigger')[0]}trigger: {{}}\nactions: [{{type: do-nothing}}]",
        "every event",
    ),
    (AUTOMATION.replace("[alerts-webhook]", "[7]"), "its blocks are no list of names"),
    (
        AUTOMATION.replace("actions: [", "actions: [7, "),
        "automation a run failed: actions[0] is 7: ",
    ),
    (AUTOMATION.split("actions")[0] + "actions: []", "automation a run failed: actions is []: "),
    (AUTOMATION.split("actions")[0] + "actions: x", 'automation a run failed: actions is "x": '),
    (AUTOMATION.replace("subject: s", "subject: 7"), "actions[0].subject is 7: "),
    (AUTOMATION.replace("type: event", "type: evnt"), "automation a run failed: trigger is "),
    (AUTOMATION.replace('"a.*"', "7"), "automation a run failed: trigger.match"),
]
LIMITS = [
    ("limit: 1", "limit: -1", "[0].limit is -1: "),
    ("limit: 1", "limit: many", '[0].limit is "many": '),
    ("limit: 1, ", "", "[0].limit is missing: give"),
    ("name: analytics-flows-x, ", "", "[0].name is missing: give"),
    ("[scout-bronze-daily]", "scout-bronze-daily", "[0].deployments is "),
    (LIMIT, "7", "it is 7: "),
    (LIMIT, "[null]", "[0] is null: "),
    (LIMIT, f"{LIMIT[:-1]}, {LIMIT[1:]}", "2 limits have this name"),
]


def entry() -> dict[str, Any]:
    (only,) = yaml.safe_load(GOOD)["deployments"]
    return dict(only)


def write(project: Project, *entries: object) -> None:
    content = {**yaml.safe_load(GOOD), "deployments": list(entries)}
    project.prefect_file.write_text(yaml.safe_dump(content))


def put(holder: Any, path: str, value: object) -> None:
    *above, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in above:
        holder = holder[part]
    if value is GONE:
        del holder[last]
    else:
        holder[last] = value


def tells(project: Project, told: str) -> list[str]:
    found = problems(project)
    assert any(told in each for each in found), found
    return found


@pytest.mark.parametrize(("path", "value", "told"), VALUES)
def test_a_wrong_value_is_told(path: str, value: object, told: str, project: Project) -> None:
    wrong = entry()
    put(wrong, path, value)
    write(project, wrong)
    found = tells(project, told)
    if not path.startswith(("name", "entrypoint")):
        assert all(NAME in each for each in found), found


@pytest.mark.parametrize(("schedule", "told"), ANOTHER_KIND)
def test_a_schedule_that_is_none_is_told(
    schedule: dict[str, Any], told: str, project: Project
) -> None:
    wrong = entry() | {"schedules": [{"slug": "daily", "timezone": "UTC", **schedule}]}
    write(project, wrong)
    assert [f"{NAME}, schedule daily: " in each for each in tells(project, told)] == [True]


@pytest.mark.parametrize(("text", "told"), ENTRIES)
def test_a_file_of_another_shape_is_told(text: str, told: str, project: Project) -> None:
    project.prefect_file.write_bytes(text.encode("latin-1"))
    tells(project, told)
    assert modules_of_runs(project.prefect_file) == list(LIBRARIES)


@pytest.mark.parametrize(("text", "told"), AUTOMATIONS)
def test_an_automation_of_another_shape_is_told(text: str, told: str, project: Project) -> None:
    (project.automations_folder / "alerts.yaml").write_text(text)
    tells(project, told)


@pytest.mark.parametrize(("good", "broken", "told"), LIMITS)
def test_a_limit_of_another_shape_is_told(
    good: str, broken: str, told: str, project: Project
) -> None:
    project.limits_file.write_text(LIMIT.replace(good, broken))
    tells(project, told)


def test_all_that_is_wrong_is_told_in_one_go_and_each_once(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = entry(), entry(), entry()
    put(first, "schedules.0.cron", "never")
    put(first, "schedules.0.timezone", GONE)
    put(first, "schedules.0.parameters", {"laier": "gold"})
    put(first, "concurrency_limit.collision_strategy", "WAIT")
    put(first, "triggers.0.within", "soon")
    put(first, "triggers.0.expect", ["scout.delivery.recieved"])
    put(first, "work_pool.job_variables.memory_limit", "512MB")
    put(second, "name", None)
    third |= {"name": "scout-other", "tags": "scout", "color": "blue"}
    put(third, "triggers.0.name", "of another")
    write(project, first, second, third)
    (project.automations_folder / "alerts.yaml").write_text("name: [")
    project.limits_file.write_text("7")
    found = problems(project)
    wanted = (
        "cron is",
        "timezone is missing",
        "takes no parameter laier",
        "collision_strategy is",
        "within is",
        "scout.delivery.recieved",
        "memory_limit is",
        "deployment 2: name is null",
        "scout-other: tags is",
        "scout-other: color is",
        "alerts.yaml",
        "limits.yaml: it is 7",
    )
    assert [told for told in wanted if sum(told in each for each in found) != 1] == []
    assert len(found) == len(wanted), found

    arguments = ["--prefect-file", str(project.prefect_file)]
    arguments += ["--automations", str(project.automations_folder)]
    assert main([*arguments, "--limits", str(project.limits_file)]) == 1
    told = capsys.readouterr().err
    assert [each for each in found if f"{each}\n" not in told] == []


GOOD_SCHEDULES = [
    {"cron": "@daily"},
    {"cron": " 0  4 29 2 * "},
    {"rrule": "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29"},
    {"rrule": "FREQ=DAILY;UNTIL=20210101T000000"},
]


def test_a_schedule_that_comes_seldom_is_good(project: Project) -> None:
    planned = [
        {"slug": f"of {number}", "timezone": "UTC", **each}
        for number, each in enumerate(GOOD_SCHEDULES)
    ]
    write(project, entry() | {"schedules": planned})
    assert problems(project) == []


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (GOOD.replace("  - name", "\t- name"), "line 6"),
        (GOOD.replace("deployments:", "deployments: *none"), "undefined alias 'none'"),
        (GOOD.replace("    tags", "   tags"), "line 9"),
        (GOOD.replace("deployments:", "entries:"), "deployments is missing"),
    ],
)
def test_what_follows_from_a_file_without_deployments_is_not_told(
    broken: str, told: str, project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.prefect_file.write_text(broken)
    (project.automations_folder / "more.yaml").write_text("7")
    found = tells(project, told)
    kinds = ("the file: ", "automation 1 of more.yaml: it is 7")
    assert [each for each in found if not each.startswith(kinds)] == []
    arguments = ["--prefect-file", str(project.prefect_file), "--limits", str(project.limits_file)]
    assert main([*arguments, "--automations", str(project.automations_folder)]) == 1
    assert capsys.readouterr().err == "".join(f"{each}\n" for each in found)


def test_a_fault_of_many_deployments_is_one_line_that_names_some(project: Project) -> None:
    many = [entry() | {"name": f"scout-{number}", "triggers": []} for number in range(5)]
    for each in many:
        put(each, "schedules.0.timezone", "Europe/Atlantis")
        put(each, "work_pool.job_variables.memory_limit", 512)
    project.limits_file.write_text("[]")
    write(project, *many)
    of_zone, of_memory = problems(project)
    named = "; ".join(f"scout-{number}, schedule daily" for number in range(3))
    assert of_zone.startswith(f'{named} and 2 more: timezone is "Europe/Atlantis": ')
    assert of_memory.startswith(
        "scout-0; scout-1; scout-2 and 2 more: job variable memory_limit is 512: "
    )
    with pytest.raises(PermanentError) as refused:
        declared(project.prefect_file)
    assert f"1 fault in it\n{of_zone}" in str(refused.value)


def test_applying_refuses_a_wrong_value_before_it_asks_the_server(project: Project) -> None:
    wrong = entry()
    put(wrong, "schedules.0.cron", "never")
    write(project, wrong, 7)
    with pytest.raises(PermanentError) as refused:
        declared(project.prefect_file)
    assert "2 faults in it" in str(refused.value)
    assert f'{NAME}, schedule daily: cron is "never"' in str(refused.value)
    assert "deployment 2: it is 7" in str(refused.value)


def test_applying_refuses_what_the_check_finds_broken_on_any_server(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_WORK_POOL", "somebodys")
    arguments = ["--prefect-file", str(project.prefect_file), "--dry-run"]
    arguments += ["--automations", str(project.automations_folder)]
    mine = entry() | {"name": "my-transactions-daily", "description": ""}
    write(project, mine)
    assert problems(replace(project))
    assert apply(arguments) == 1
    assert "asking the Prefect server" in capsys.readouterr().err

    wrong, same = entry(), entry() | {"triggers": []}
    volume = {"name": "state", "persistentVolumeClaim": {"claimName": "Agent_State"}}
    put(wrong, "work_pool.job_variables.state_volume", volume)
    put(wrong, "work_pool.job_variables.memroy_limit", "1Gi")
    put(wrong, "parameters", {"layers": "bronze"})
    put(wrong, "triggers.0.parameters.layer.template", "{{ event")
    write(project, wrong, same, mine | {"entrypoint": "flows/scout/flow/layers.py:refresh"})
    with project.prefect_file.open("a") as more:
        more.write("color: blue\n")
    automation = AUTOMATION.replace("alerts-webhook", "alerts-webhok")
    (project.automations_folder / "alerts.yaml").write_text(automation)
    assert apply(arguments) == 1
    told = capsys.readouterr().err
    wanted = (
        "12 faults in them",
        'claimName is "Agent_State": it is no name that Kubernetes takes',
        "have no job variable memroy_limit",
        "takes no parameter layers",
        "its template cannot be rendered",
        "2 deployments have this name",
        "its entrypoint is a path",
        "the file: color is a key that Prefect ignores",
        "the block alerts-webhok is not among",
    )
    assert [each for each in wanted if each not in told] == [], told
    assert "asking" not in told


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    told = problems(Project(tmp_path / "nowhere.yaml"))
    assert "the file: No such file or directory" in told
