-- Told, and no gate.
{{ config(severity='warn') }}

{{ displaced_within_files('transactions', 'transaction_id') }}
