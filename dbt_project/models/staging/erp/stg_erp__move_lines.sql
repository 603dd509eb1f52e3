-- One row per line of an ERP move; amounts in major units as the ERP writes them.
{{ config(tags=['after_posting']) }}
with elements as (
    {{ json_elements(ref('stg_erp__moves'), 'lines', ['_source', 'entity_id', 'move_id']) }}
),

fields as (
    select
        _source,
        entity_id,
        move_id,
        position as line_no,
        {{ json_texts('item', [
            '$.id', '$.account_code', '$.debit', '$.credit', '$.description', '$.amount_second_currency',
            '$.second_currency', '$.customer_id', '$.maturity_date', '$.is_reconciled', '$.settles',
        ]) }} as f
    from elements
)

select
    _source,
    entity_id,
    move_id,
    line_no,
    f[1] as line_id,
    f[2] as account_code,
    cast(f[3] as decimal(28, 9)) as debit,
    cast(f[4] as decimal(28, 9)) as credit,
    f[5] as description,
    cast(f[6] as decimal(28, 9)) as amount_second_currency,
    f[7] as second_currency,
    f[8] as customer_id,
    cast(f[9] as date) as maturity_date,
    coalesce(cast(f[10] as boolean), false) as is_reconciled,
    f[11] as settles
from fields
