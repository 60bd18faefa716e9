-- Where do the labels and the classification engine tell different stories?
select
    signal_type,
    severity,
    is_favorable,
    count(*) as signals,
    round(cast(avg(severity_score) as numeric), 1) as mean_severity_score
from {{ ref('fct_signals') }}
group by signal_type, severity, is_favorable
order by signals desc
