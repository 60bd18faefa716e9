select
    cases.feature,
    {{ extract_feature_type('cases.feature') }} as feature_type
from (
    values
    ('numeric__age', 'numeric'),
    ('categorical__region_west', 'categorical'),
    ('ordinal__stage', 'ordinal'),
    ('binary__icu', 'binary'),
    ('text__note__words', 'text'),
    ('remainder__age', 'unknown'),
    ('numeric', 'unknown'),
    ('age', 'unknown'),
    ('', 'unknown')
) as cases (feature, feature_type)
where {{ extract_feature_type('cases.feature') }} is distinct from cases.feature_type
