{{ config(severity='warn') }}

select
    metric_name,
    attributes ->> '$.type' as token_type,
    count(*) as points
from {{ source('raw', 'otel_metrics') }}
where
    ends_with(metric_name, '.token.usage')
    and {{ token_type("attributes ->> '$.type'") }} is null
group by all
