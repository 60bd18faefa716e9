"""What the programs of Quality Compass's owner ask the marts, and the answers from plain SQL."""

RATE = "100.0 * count(*) filter (where {}) / count(*)".format
SIGNAL_METRICS = {
    "total_signals": "count(*)",
    "critical_signals": "count(*) filter (where severity = 'Critical')",
    "high_priority_signals": "count(*) filter (where severity = 'High')",
    "moderate_signals": "count(*) filter (where severity = 'Moderate')",
    "watch_signals": "count(*) filter (where severity = 'Watch')",
    "critical_signal_rate": RATE("severity = 'Critical'"),
    "actionable_signal_rate": RATE("severity in ('Critical', 'High')"),
    "efficiency_signals": "count(*) filter (where domain = 'Efficiency')",
    "safety_signals": "count(*) filter (where domain = 'Safety')",
    "effectiveness_signals": "count(*) filter (where domain = 'Effectiveness')",
    "efficiency_signal_share": RATE("domain = 'Efficiency'"),
    "safety_signal_share": RATE("domain = 'Safety'"),
    "avg_z_score_magnitude": "avg(abs(z_score))",
    "avg_robust_zscore_magnitude": "avg(abs(robust_zscore))",
    "avg_variance_from_benchmark": "avg(variance_percent)",
    "total_encounters_covered": "sum(encounters)",
    "unique_facilities": "count(distinct facility_sk)",
    "signals_per_facility": "1.0 * count(*) / count(distinct facility_sk)",
    "critical_signal_ratio": "1.0 * count(*) filter (where severity = 'Critical') / count(*)",
}
CONTRIBUTION_METRICS = {
    "total_contributions": "count(*)",
    "avg_impact_score": "avg(contribution_weight)",
    "positive_contributors": "count(*) filter (where contribution_direction = 'positive')",
    "negative_contributors": "count(*) filter (where contribution_direction = 'negative')",
    "positive_contributor_rate": RATE("contribution_direction = 'positive'"),
}
CUMULATIVE = ("cumulative_signals", "cumulative_encounters")
AGGREGATIONS = {
    "sum": "sum({})", "average": "avg({})", "count_distinct": "count(distinct {})"
}  # fmt: skip
DERIVED = (
    "critical_signal_rate", "actionable_signal_rate", "efficiency_signal_share",
    "safety_signal_share", "signals_per_facility", "positive_contributor_rate",
)  # fmt: skip
OWNERS_METRICS = (
    dict.fromkeys((*SIGNAL_METRICS, *CONTRIBUTION_METRICS), "simple")
    | dict.fromkeys(DERIVED, "derived")
    | dict.fromkeys(CUMULATIVE, "cumulative")
)
del OWNERS_METRICS["critical_signal_ratio"]


# The owner's own types, from what makes each column there. Counts that a sender may send larger
# than an integer are wider here.
DECIMALS = """
    metric_value benchmark_value variance_percent simple_zscore robust_zscore latest_simple_zscore
    mean_simple_zscore latest_robust_zscore mean_robust_zscore percentile_rank peer_std
    global_metric_mean global_metric_std slope slope_percentile acceleration
    coefficient_of_variation child_value parent_value weight_value weight_share excess_over_parent
    contribution_weight total_weight_share contribution_pct
"""
FLOATS = """
    duration_seconds mae rmse r2 mae_original rmse_original r2_original inverse_cap
    capped_pred_count capped_pred_fraction
"""
DOCUMENTS = """
    statistical_methods entity_dimensions metric_trend_timeline monthly_z_scores
    peer_percentile_trends simplified_severity_range simplified_inputs simplified_indicators
    simplified_severity_calculation metadata metadata_per_period raw_json
"""
INTEGERS = """
    peer_count simplified_severity bed_count id n_iter random_state tuning_random_state row_count
"""
BIG_INTEGERS = "encounters total_encounters contribution_rank experiment_rank"
INSTANTS = "detected_at dbt_updated_at loaded_at first_seen_at last_seen_at"
TYPES = {
    name: type_
    for type_, names in (
        ("numeric", DECIMALS),
        ("double precision", FLOATS),
        ("jsonb", DOCUMENTS),
        ("integer", INTEGERS),
        ("bigint", BIG_INTEGERS),
        ("timestamp with time zone", INSTANTS),
        ("timestamp without time zone", "record_timestamp"),
        ("boolean", "weight_share_valid"),
    )
    for name in names.split()
}
COLUMNS = {
    "dim_facilities": """
        facility_sk facility_id facility_name facility_type health_system region state
        bed_count primary_service_line total_encounters first_seen_at last_seen_at
        dbt_updated_at
    """,
    "dim_metrics": """
        metric_sk metric_id metric_name description domain direction_preference unit_type
        dbt_updated_at
    """,
    "fct_signals": """
        signal_id run_id canonical_node_id temporal_node_id facility_id service_line
        sub_service_line metric_id metric_value benchmark_value variance_percent
        statistical_methods simple_zscore robust_zscore latest_simple_zscore
        mean_simple_zscore latest_robust_zscore mean_robust_zscore percentile_rank
        peer_std peer_count encounters global_metric_mean global_metric_std description
        domain facility_sk metric_sk entity_dimensions entity_dimensions_hash
        groupby_label group_value metric_trend_timeline monthly_z_scores slope
        slope_percentile acceleration trend_direction momentum peer_percentile_trends
        simple_zscore_anomaly robust_zscore_anomaly latest_simple_zscore_anomaly
        mean_simple_zscore_anomaly latest_robust_zscore_anomaly mean_robust_zscore_anomaly
        slope_anomaly simplified_signal_type simplified_severity simplified_severity_range
        simplified_inputs simplified_indicators simplified_reasoning
        simplified_severity_calculation magnitude_tier trajectory_tier consistency_tier
        coefficient_of_variation detected_at dbt_updated_at
    """,
    "fct_contributions": """
        contribution_id run_id record_timestamp parent_node_id child_node_id
        parent_facility_id parent_service_line child_facility_id child_service_line
        child_sub_service_line child_admission_status child_discharge_status
        child_payer_segment child_admission_source metric_id contribution_method
        child_value parent_value weight_field weight_value weight_share excess_over_parent
        contribution_weight contribution_direction contribution_rank total_weight_share
        weight_share_valid contribution_pct parent_facility_sk child_facility_sk metric_sk
        loaded_at dbt_updated_at
    """,
    "fct_model_drivers": """
        run_id estimator groupby_label group_value row_count duration_seconds mae rmse r2
        mae_original rmse_original r2_original global_shap_path facility_shap_path
        encounter_shap_path experiment_rank loaded_at
    """,
    "stg_modeling_experiments": """
        id run_id config_path groupby_label group_value estimator scoring n_iter
        random_state tuning_random_state dataset_path row_count duration_seconds mae rmse
        r2 mae_original rmse_original r2_original inverse_cap capped_pred_count
        capped_pred_fraction metrics_path predictions_path eda_summary_path
        group_summary_path feature_descriptor_path hparam_trials_path encounter_shap_path
        facility_shap_path global_shap_path transparency_path raw_json loaded_at
    """,
}
