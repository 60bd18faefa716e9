"""The checker finds what Prefect would pass over: each rule with a file that breaks it."""

from dataclasses import replace
from pathlib import Path
from uuid import UUID

import pytest
import yaml

from deployments.apply.files import PREFECT_YAML, declared
from deployments.check import Project, main, problems
from deployments.local.paths import PROJECT_ROOT

GOOD = """
build: []
push: []
pull: []
deployments:
  - name: scout-bronze-daily
    description: Takes in new files.
    entrypoint: flows.scout.flow.refresh
    tags: [analytics-flows, scout]
    parameters: {layer: bronze}
    concurrency_limit: {limit: 1, collision_strategy: ENQUEUE}
    schedules: [{slug: daily, cron: "0 2 * * *", timezone: UTC}]
    triggers:
      - name: on delivery
        expect: [scout.delivery.received]
        match: {prefect.resource.id: analytics.scout.transactions}
        match_related:
          {prefect.resource.role: deployment, prefect.resource.name: scout-bronze-daily}
        within: 20
        schedule_after: 20
        parameters: {layer: {__prefect_kind: jinja, template: "{{ event.payload.kind }}"}}
    work_pool: {name: "{{ $PREFECT_WARM_WORK_POOL }}", job_variables: {memory_limit: 1Gi}}
"""
PARAMETERS = next(line for line in GOOD.splitlines(keepends=True) if "__prefect_kind" in line)
WOKEN = (
    GOOD.replace("[scout.delivery.received]", "[scout.delivery.pending]")
    .replace("analytics.scout.transactions", "analytics.scout.inbox")
    .replace("within: 20", "within: 0")
    .replace("flows, scout]", "flows, scout, on-delivery, scout.transactions]")
    .replace(PARAMETERS, "")
)
AUTOMATION = """
name: a run failed
trigger: {type: event, expect: [prefect.flow-run.Failed], match: {prefect.resource.id: "a.*"}}
actions: [{type: send-notification, blocks: [alerts-webhook], subject: s, body: "{{ flow.name }}"}]
"""

LIMIT = "[{name: analytics-flows-x, limit: 1, deployments: [scout-bronze-daily]}]"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    (tmp_path / "automations").mkdir()
    (tmp_path / "prefect.yaml").write_text(GOOD)
    (tmp_path / "automations" / "alerts.yaml").write_text(AUTOMATION)
    (tmp_path / "limits.yaml").write_text(LIMIT)
    return Project(tmp_path / "prefect.yaml", tmp_path / "automations", tmp_path / "limits.yaml")


def test_the_projects_own_files_are_good() -> None:
    assert problems(Project()) == []


def test_a_good_file_has_no_problems(project: Project) -> None:
    assert problems(project) == []


@pytest.mark.parametrize(
    ("good", "broken", "problem"),
    [
        ("job_variables:", "job_vars:", "work_pool.job_vars is a key that Prefect ignores"),
        ("deployments:\n", "color: blue\ndeployments:\n", "color is a key that Prefect ignores"),
        ("pull: []\n", "", "say `pull: []`"),
        ("description:", "descripton:", "descripton is a key that Prefect ignores"),
        ("limit: 1,", "limits: 1,", "concurrency_limit.limits is a key that Prefect ignores"),
        ("within: 20", "withn: 20", "trigger on delivery: withn is a key that Prefect ignores"),
        ("slug: daily", "slag: daily", "slag is a key that Prefect ignores"),
        ("flow.refresh", "flow.refersh", "name 'refersh' not found"),
        ("flows.scout.flow.refresh", "flows.scout.rules.keep_rows", "scout-bronze-daily: "),
        ("flows.scout.flow.refresh", "flows/scout/flow/layers.py:refresh", "is a path"),
        ("flows.scout.flow.refresh", "flows/scout/nowhere.py:refresh", "is a path"),
        ("{layer: bronze}", "{layers: bronze}", "takes no parameter layers"),
        ("{layer: bronze}", "{settings: {folder: 7}}", "refuses its parameters"),
        ("parameters: {layer: {__", "parameters: {laier: {__", "takes no parameter laier"),
        ("{__prefect_kind: jinja, template: ", "{template: ", "give the template explicitly"),
        ("event.payload.kind }}", "event.payload.kind", "cannot be rendered"),
        ("scout.delivery.received", "scout.delivery.recieved", "nothing sends an event scout."),
        ("scout.delivery.received", "prefect.flow-run.Complete", "nothing sends an event prefect."),
        ("[scout.delivery.received]", "[]", "waits for every event"),
        ("analytics.scout.tr", "analytics.scuot.tr", "not of analytics.scuot.transactions"),
        ("resource.name: scout-bronze", "resource.name: scout-brnze", "no deployment scout-brnze"),
        (
            "resource.name: scout-bronze-daily",
            "resource.name: [a, b]",
            "no deployment b",
        ),
        ("schedule_after: 20", "schedule_after: 5", "its run begins after 5 s"),
        ("within: 20", "within: 0", "as many runs"),
        ("within: 20", "within: soon", 'within is "soon"'),
        ("name: on delivery", "threshold: 1", "name is missing: give"),
        ("memory_limit: 1Gi", "memroy_limit: 1Gi", "have no job variable memroy_limit"),
        ("1Gi", '"{{ prefect.blocks.secret.x }}"', "in clear text"),
        ("slug: daily, ", "", "schedule 1: slug is missing: give"),
        (", timezone: UTC", "", "timezone is missing: give one such as UTC"),
        ('"0 2 * * *"', '"0 25 * * *"', "schedule daily: "),
        (
            "[{slug: daily,",
            "[{slug: daily, cron: 1 1 * * *, timezone: UTC}, {slug: daily,",
            "2 sch",
        ),
        ("[analytics-flows, ", "[", "lack analytics-flows"),
        ("name: scout-bronze-daily\n    d", "name: bronze-daily\n    d", "does not begin with"),
        ("    description: Takes in new files.\n", "", "say in a description"),
        ("ENQUEUE", "CANCEL_NEW", "use ENQUEUE"),
        ("$PREFECT_WARM_WORK_POOL", "$WORK_POOL", "nothing sets WORK_POOL"),
        ("{{ $PREFECT_WARM_WORK_POOL }}", "kubernetes", "its pool is kubernetes: name {{ $PREF"),
        ('name: "{{ $PREFECT_WARM_WORK_POOL }}", ', "", "its pool is None: name {{ $PREFECT_WARM_"),
        ("{memory_limit: 1Gi}", "{state_volume: {}, memory_limit: 1Gi}", "has no claim of one"),
        ("{memory_limit: 1Gi}", "{cpu_limit: 1}", "a fork without memory_limit"),
        ("name: on delivery", "name: a run failed", "2 automations and triggers"),
    ],
)
def test_a_broken_deployment_is_told(
    good: str, broken: str, problem: str, project: Project
) -> None:
    assert good in GOOD
    project.prefect_file.write_text(GOOD.replace(good, broken))
    assert any(problem in found for found in problems(project)), problems(project)


@pytest.mark.parametrize(
    ("good", "broken", "problem"),
    [
        (", on-delivery", "", "the receiver does not know of it"),
        (", scout.transactions]", "]", "the tags on-delivery and scout.<kind of delivery>"),
        (", scout.transactions]", ", ledgermind.event]", "the receiver does not know of it"),
        ("resource.name: scout-bronze-daily", 'resource.name: "*"', "what waits for others"),
        ("within: 0", "within: 5", "would be lost: leave `within` at 0"),
        ("within: 0", "parameters: {layer: gold}\n        within: 0", "give it no others"),
        ("schedule_after: 20", "schedule_after: 90", "after 60 s the receiver asks for another"),
        ("[scout.delivery.pending]", "[scout.rows.landed]", "has the tag on-delivery and no"),
    ],
)
def test_a_deployment_that_deliveries_would_wake_in_vain_is_told(
    good: str, broken: str, problem: str, project: Project
) -> None:
    assert good in WOKEN
    project.prefect_file.write_text(WOKEN)
    assert problems(replace(project)) == []
    project.prefect_file.write_text(WOKEN.replace(good, broken))
    assert any(problem in found for found in problems(project)), problems(project)


@pytest.mark.parametrize(
    ("good", "broken", "problem"),
    [
        ("trigger:", "triggers:", "triggers is a key that Prefect ignores"),
        ("expect:", "expects:", "expects is a key that Prefect ignores"),
        ("flow-run.Failed", "flow-run.Fialed", "nothing sends an event prefect.flow-run.Fialed"),
        ("alerts-webhook", "alerts-webhok", "the block alerts-webhok is not among"),
        ("flow.name }}", "flow.name", "cannot be rendered"),
        ("send-notification", "send-notifications", "actions"),
    ],
)
def test_a_broken_automation_is_told(
    good: str, broken: str, problem: str, project: Project
) -> None:
    assert good in AUTOMATION
    (project.automations_folder / "alerts.yaml").write_text(AUTOMATION.replace(good, broken))
    assert any(problem in found for found in problems(project)), problems(project)


@pytest.mark.parametrize(
    ("good", "broken", "problem"),
    [
        ("analytics-flows-x", "x", "does not begin with analytics-flows-"),
        ("scout-bronze-daily", "scout-bronze", "has no scout-bronze with limit 1"),
        ("limit: 1", "limit: 2", "has no scout-bronze-daily with limit 2"),
    ],
)
def test_a_broken_limit_is_told(good: str, broken: str, problem: str, project: Project) -> None:
    project.limits_file.write_text(LIMIT.replace(good, broken))
    assert any(problem in found for found in problems(project)), problems(project)


def test_a_variable_that_the_job_template_does_not_use_is_told(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    idle = {
        "variables": {"properties": {"memory_limit": {"type": "string"}}},
        "job_configuration": {"job_manifest": {"spec": {}}},
    }
    monkeypatch.setattr("deployments.check.of_deployments.pool_template", lambda kind: idle)
    assert any("memory_limit changes nothing" in found for found in problems(project))


def test_the_command_ends_1_and_names_what_is_wrong(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--prefect-file", str(project.prefect_file)]
    arguments += ["--automations", str(project.automations_folder)]
    arguments += ["--limits", str(project.limits_file)]
    arguments += ["--overlays", str(project.automations_folder)]
    assert main(arguments) == 0
    project.prefect_file.write_text(GOOD.replace("slug: daily, ", ""))
    assert main(arguments) == 1
    assert "slug is missing" in capsys.readouterr().err


def test_a_file_that_is_not_yaml_is_told_with_its_line(
    project: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    project.prefect_file.write_text("deployments: [")
    assert main(["--prefect-file", str(project.prefect_file)]) == 1
    assert "line 1" in capsys.readouterr().err


def test_no_deployment_takes_more_than_a_dozen_lines_of_the_file() -> None:
    root = yaml.compose(PREFECT_YAML.read_text())
    assert isinstance(root, yaml.MappingNode)
    (entries,) = [value for key, value in root.value if key.value == "deployments"]
    lines = PREFECT_YAML.read_text().splitlines()
    for entry in entries.value:
        own = lines[entry.start_mark.line : entry.end_mark.line]
        told = [line for line in own if line.strip() and not line.lstrip().startswith("#")]
        assert len(told) <= 12, told[1]


def test_make_lint_runs_the_check() -> None:
    assert "-m deployments.check" in (PROJECT_ROOT / "Makefile").read_text()


def test_runs_and_triggers_say_in_the_ui_what_they_are() -> None:
    for each in declared():
        assert each.flow.flow_run_name, f"runs of {each.name} have made-up names"
        for automation in each.automations(UUID(int=0)):
            assert each.name in automation.description, automation.name
