{% macro compute_groupby_label(entity_keys) -%}
    coalesce(
        (
            select
                string_agg(
                    case keys.key
                        when 'vizientServiceLine' then 'Service Line'
                        when 'vizientSubServiceLine' then 'Sub-Service Line'
                        when 'admissionSource' then 'Admission Source'
                        when 'dischargeStatus' then 'Discharge Status'
                        when 'primaryPayer' then 'Primary Payer'
                        when 'patientAge' then 'Patient Age'
                        when 'patientGender' then 'Patient Gender'
                        else initcap(regexp_replace(
                            replace(keys.key, '_', ' '), '([a-z0-9])([A-Z])', '\1 \2', 'g'
                        ))
                    end,
                    ' / ' order by keys.key collate "C"
                )
            from {{ group_keys(entity_keys) }} as keys
        ),
        'Facility-wide'
    )
{%- endmacro %}
