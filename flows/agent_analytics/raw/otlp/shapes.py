"""The shape of OTLP's JSON, told to DuckDB beforehand, and the macros that read attributes."""

from collections.abc import Sequence
from pathlib import Path

from flows._shared.placeholders import PLACEHOLDERS, UNEXPANDED, ZEROS
from flows.agent_analytics.raw.agents import AGENT_OF_NAME

NO_SESSION = "no-session:"

LISTED_PLACEHOLDERS = ", ".join(f"'{each}'" for each in PLACEHOLDERS)
_ATTRIBUTES = (
    'STRUCT("key" VARCHAR, "value" STRUCT("stringValue" VARCHAR, "intValue" VARCHAR, '
    '"doubleValue" DOUBLE, "boolValue" BOOLEAN, "arrayValue" JSON, "kvlistValue" JSON, '
    '"bytesValue" VARCHAR))[]'
)
# The same, as the function that reads a list out of a text wants it told.
ATTRIBUTES_IN_TEXT = (
    '[{"key":"VARCHAR","value":{"stringValue":"VARCHAR","intValue":"VARCHAR",'
    '"doubleValue":"DOUBLE","boolValue":"BOOLEAN","arrayValue":"JSON","kvlistValue":"JSON",'
    '"bytesValue":"VARCHAR"}}]'
)
_POINTS = (
    'STRUCT("attributes" JSON, "startTimeUnixNano" VARCHAR, "timeUnixNano" VARCHAR, '
    '"asDouble" DOUBLE, "asInt" VARCHAR, "sum" DOUBLE, "count" VARCHAR, "flags" BIGINT)[]'
)
METRICS = (
    'STRUCT("resource" STRUCT("attributes" JSON), '
    '"scopeMetrics" STRUCT("scope" STRUCT("name" VARCHAR, "version" VARCHAR), '
    '"metrics" STRUCT("name" VARCHAR, "unit" VARCHAR, '
    '"sum" STRUCT("aggregationTemporality" VARCHAR, "isMonotonic" BOOLEAN, '
    f'"dataPoints" {_POINTS}), "gauge" STRUCT("dataPoints" {_POINTS}), '
    f'"histogram" STRUCT("aggregationTemporality" VARCHAR, "dataPoints" {_POINTS}), '
    f'"exponentialHistogram" STRUCT("aggregationTemporality" VARCHAR, "dataPoints" {_POINTS}), '
    '"summary" JSON)[])[])[]'
)
LOGS = (
    'STRUCT("resource" STRUCT("attributes" JSON), '
    '"scopeLogs" STRUCT("logRecords" STRUCT("timeUnixNano" VARCHAR, '
    '"observedTimeUnixNano" VARCHAR, "severityText" VARCHAR, "eventName" VARCHAR, '
    f'"body" STRUCT("stringValue" VARCHAR), "attributes" {_ATTRIBUTES})[])[])[]'
)

# Whether something is there: what is in it is not read.
ANY = 'STRUCT("-" BOOLEAN)[]'

# Attributes become one JSON object, its keys in order: the same attributes are the same text. Of
# attributes with the same key the first counts, a number keeps being a number. What is sent as an
# integer and is none stays the text that it is: the rule of its attribute judges it.
MACROS = (
    r"""
create or replace temp macro otlp_some(held) as case when len(held) > 0 then held else [null] end;
create or replace temp macro otlp_sorted(attributes) as list_sort(list_transform(
    attributes,
    lambda a, i: struct_pack(key := coalesce(a.key, ''), place := i, value := a.value)));
create or replace temp macro otlp_firsts(sorted) as list_transform(
    list_filter(
        list_zip(sorted, list_prepend(null, sorted)),
        lambda p: p[1] is not null and p[1].key is distinct from p[2].key
    ), lambda p: p[1]);
create or replace temp macro otlp_number(told) as case
    when regexp_full_match(trim(told), '[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?')
        then try_cast(trim(told) as double) end;
create or replace temp macro otlp_integer(told) as case
    when cast(try_cast(told as bigint) as varchar) = told then told
    when otlp_number(told) is not null and told = trim(told)
        and try_cast(told as decimal(38, 18)) = try_cast(told as bigint)
        then cast(try_cast(told as bigint) as varchar)
    else cast(to_json(told) as varchar) end;
create or replace temp macro otlp_nested(kind, value) as value;
create or replace temp macro otlp_object(attributes) as cast('{' || array_to_string(list_sort(
    list_transform(
        case
            when len(list_distinct(list_transform(attributes, lambda b: coalesce(b.key, ''))))
                = len(attributes)
                then list_transform(
                    attributes, lambda b: struct_pack(key := b.key, place := 0, value := b.value))
            else otlp_firsts(otlp_sorted(attributes))
        end,
        lambda a: cast(to_json(coalesce(a.key, '')) as varchar) || ':' || coalesce(
            cast(to_json(a.value.stringValue) as varchar),
            otlp_integer(a.value.intValue),
            cast(to_json(a.value.doubleValue + 0) as varchar),
            cast(a.value.boolValue as varchar),
            otlp_nested('arrayValue', cast(a.value.arrayValue as varchar)),
            otlp_nested('kvlistValue', cast(a.value.kvlistValue as varchar)),
            cast(to_json(otlp_nested('bytesValue', a.value.bytesValue)) as varchar), 'null'))
    ), ',') || '}' as json);
create or replace temp macro otlp_time(nanos) as
    make_timestamp(nullif(try_cast(nanos as bigint), 0) // 1000);
create or replace temp macro otlp_known_id(name) as case
    when not (lower(trim(name)) in ("""
    + LISTED_PLACEHOLDERS
    + r""")
        or regexp_full_match(trim(name), '"""
    + ZEROS
    + r"""')
        or regexp_matches(trim(name), '"""
    + UNEXPANDED
    + r"""'))
        then nullif(trim(name), '') end;
create or replace temp macro otlp_names(object) as list_transform(object ->> [
    '$.developer_id', '$."x-developer-id"', '$."user.email"', '$."user.account_uuid"',
    '$."user.account_id"', '$."user.id"', '$."session.id"', '$.session_id', '$.agent_type',
    '$."service.name"', '$.model', '$."event.name"', '$."conversation.id"',
    '$."gen_ai.conversation.id"', '$."enduser.id"', '$."installation.id"',
    '$."gen_ai.response.model"', '$."gen_ai.request.model"'
    ], lambda name, place: case
        when place in (9, 10, 11, 12, 17, 18) then nullif(trim(name), '')
        else otlp_known_id(name)
    end);
create or replace temp macro otlp_named(point, resource, place) as
    coalesce(point[place], resource[place]);
create or replace temp macro otlp_developer(p, r) as coalesce(
    otlp_named(p, r, 1), otlp_named(p, r, 2), lower(otlp_named(p, r, 3)), otlp_named(p, r, 4),
    otlp_named(p, r, 5), otlp_named(p, r, 6), otlp_named(p, r, 15), otlp_named(p, r, 16),
    'unknown');
create or replace temp macro otlp_session(p, r) as coalesce(
    otlp_named(p, r, 7), otlp_named(p, r, 8), otlp_named(p, r, 13), otlp_named(p, r, 14), '"""
    + NO_SESSION
    + r"""' || otlp_developer(p, r));
create or replace temp macro otlp_model(p, r) as
    coalesce(otlp_named(p, r, 11), otlp_named(p, r, 17), otlp_named(p, r, 18));
create or replace temp macro otlp_agent_of(name) as """
    + AGENT_OF_NAME
    + r""";
create or replace temp macro otlp_agent(p, r, name) as coalesce(
    otlp_agent_of(otlp_named(p, r, 9)), otlp_named(p, r, 9), otlp_agent_of(otlp_named(p, r, 10)),
    otlp_agent_of(name), case when not starts_with(name, 'gen_ai.')
        then nullif(split_part(name, '.', 1), '') end, otlp_named(p, r, 10), 'unknown');
"""
)

# Where lists, maps or bytes of these lines are not all in the one spelling.
SPELLED_NESTED = """
create or replace temp macro otlp_nested(kind, value) as otlp_spelled(kind, value)
"""


def read_lines(paths: Sequence[Path], longest: int, **columns: str) -> str:
    """The table function that reads these files of lines, gzip by the name's ending."""
    # DuckDB reads in blocks of twice the longest line, and of 32 MiB at least, one thread each.
    listed = ", ".join("'" + str(path).replace("'", "''") + "'" for path in paths)
    shape = ", ".join(f"{name}: '{kind}'" for name, kind in columns.items())
    return (
        f"read_json([{listed}], format = 'newline_delimited', columns = {{{shape}}}, "
        f"maximum_object_size = {longest})"
    )
