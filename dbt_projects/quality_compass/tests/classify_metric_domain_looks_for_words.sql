-- "closure" and "loss" hold "los", "install" holds "all", "waterfall" holds "fall".
select
    cases.metric_id,
    {{ classify_metric_domain('cases.metric_id') }} as domain
from (
    values
    ('losIndex', 'Efficiency'),
    ('icuLosIndex', 'Efficiency'),
    ('ICU_LOS_days', 'Efficiency'),
    ('LOSIndex', 'Efficiency'),
    ('lengthOfStay', 'Efficiency'),
    ('length_stay', 'Efficiency'),
    ('closureRate', 'Other'),
    ('bloodLoss', 'Other'),
    ('waterfallCount', 'Other'),
    ('readmissionRate', 'Effectiveness'),
    ('mortalityIndex', 'Safety'),
    ('sepsisRate', 'Safety'),
    ('patientFalls', 'Safety'),
    ('totalCost', 'Efficiency'),
    ('edWaitTime', 'Efficiency'),
    ('mortalityCost', 'Safety'),
    ('satisfaction', 'Other'),
    ('', 'Other')
) as cases (metric_id, domain)
where {{ classify_metric_domain('cases.metric_id') }} is distinct from cases.domain
