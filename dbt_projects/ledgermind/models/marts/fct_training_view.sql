with features as (

    select * from {{ ref('stg_ml_features') }}

),

labels as (

    select * from {{ ref('stg_transaction_labels') }}

),

transactions as (

    select * from {{ ref('stg_transactions') }}

),

labelled as (

    select
        features.txn_id,
        features.ts_month,
        transactions.txn_date,
        features.merchant,
        features.amount,
        features.abs_amount,
        features.mcc,
        features.channel,
        features.hour_of_day,
        features.day_of_week,
        features.is_weekend,
        features.is_subscription,
        labels.label,
        labels.label_source,
        labels.updated_at as label_observed_at
    from features
    inner join labels on features.txn_id = labels.txn_id
    inner join transactions on features.txn_id = transactions.txn_id
    where
        features.merchant is not null
        and features.amount <> 0
        and features.ts_month is not null
        and labels.label is not null
        and not transactions.is_deleted
        and {{ has_number('features.txn_id') }}

),

last_month as (

    -- A month that is yet to come must not take the test set away from all others.
    select max(ts_month) as ts_month
    from labelled
    where ts_month <= {{ day_floor(run_clock()) }}

),

final as (

    select
        {{ transaction_number('labelled.txn_id') }} as txn_id,
        labelled.ts_month,
        labelled.txn_date,
        {{ shared.text('labelled.merchant') }} as merchant,
        {{ real('labelled.amount') }} as amount,
        {{ real('labelled.abs_amount') }} as abs_amount,
        {{ shared.text('labelled.mcc') }} as mcc,
        {{ shared.text('labelled.channel') }} as channel,
        {{ whole('labelled.hour_of_day') }} as hour_of_day,
        {{ whole('labelled.day_of_week') }} as day_of_week,
        labelled.is_weekend,
        labelled.is_subscription,
        {{ shared.text('labelled.label') }} as label,
        {{ shared.text('labelled.label_source') }} as label_source,
        labelled.label_observed_at,
        {{ shared.text("case
            when labelled.ts_month >= last_month.ts_month then 'test' else 'train'
        end") }} as dataset_split
    from labelled
    cross join last_month

)

select * from final
