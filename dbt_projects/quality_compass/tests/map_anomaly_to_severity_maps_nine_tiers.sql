select
    cases.label,
    {{ map_anomaly_to_severity('cases.label') }} as severity,
    {{ is_anomaly_favorable('cases.label', 'cases.direction') }} as is_favorable
from (
    values
    ('extremely_low', 'lower', 'Critical', true),
    ('extremely_high', 'lower', 'Critical', false),
    ('very_low', 'higher', 'High', false),
    ('very_high', 'higher', 'High', true),
    ('moderately_low', 'lower', 'Moderate', true),
    ('moderately_high', 'context_dependent', 'Moderate', null),
    ('high', 'lower', 'Moderate', false),
    ('low', 'lower', 'Moderate', true),
    ('slightly_low', 'lower', 'Watch', true),
    ('slightly_high', 'lower', 'Watch', false),
    ('normal', 'lower', null, null),
    ('no_score', 'lower', null, null),
    ('extremely', 'lower', null, null),
    (null, 'lower', null, null)
) as cases (label, direction, severity, is_favorable)
where
    {{ map_anomaly_to_severity('cases.label') }} is distinct from cases.severity
    or {{ is_anomaly_favorable('cases.label', 'cases.direction') }}
    is distinct from cases.is_favorable
