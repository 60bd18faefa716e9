select
    cases.entity_keys,
    {{ compute_groupby_label('cases.entity_keys') }} as groupby_label,
    {{ compute_group_value('cases.entity_keys') }} as group_value
from (
    values
    (cast('{"medicareId": "010001"}' as jsonb), 'Facility-wide', 'Facility-wide'),
    (
        cast('{"medicareId": "010001", "systemName": "A"}' as jsonb),
        'Facility-wide',
        'Facility-wide'
    ),
    (cast('{}' as jsonb), 'Facility-wide', 'Facility-wide'),
    (cast(null as jsonb), 'Facility-wide', 'Facility-wide'),
    (
        cast(
            '{"vizientServiceLine": "Trauma", "medicareId": "010001",'
            ' "dischargeStatus": "Home"}' as jsonb
        ),
        'Discharge Status / Service Line',
        'Home / Trauma'
    ),
    (
        cast('{"vizientSubServiceLine": "Spine", "primaryPayer": "Medicare"}' as jsonb),
        'Primary Payer / Sub-Service Line',
        'Medicare / Spine'
    ),
    (
        cast('{"homeRegion": "West", "bed_type": "ICU"}' as jsonb),
        'Bed Type / Home Region',
        'ICU / West'
    )
) as cases (entity_keys, groupby_label, group_value)
where
    {{ compute_groupby_label('cases.entity_keys') }} is distinct from cases.groupby_label
    or {{ compute_group_value('cases.entity_keys') }} is distinct from cases.group_value
