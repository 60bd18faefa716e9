-- Told, and no gate.
{{ config(severity='warn') }}

{{ displaced_within_files('products', 'sku') }}
