-- Which facilities need attention first?
select
    signals.facility_id,
    facilities.facility_name,
    count(*) filter (where signals.severity in ('Critical', 'High')) as actionable_signals,
    max(signals.severity_score) as worst_severity_score
from {{ ref('fct_signals') }} as signals
inner join {{ ref('dim_facilities') }} as facilities on signals.facility_sk = facilities.facility_sk
where
    signals.run_id = {{ newest_run_of(ref('fct_signals')) }}
    and signals.is_favorable is distinct from true
group by signals.facility_id, facilities.facility_name
order by worst_severity_score desc nulls last, actionable_signals desc
limit 20
