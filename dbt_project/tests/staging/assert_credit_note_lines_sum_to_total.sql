-- A returned row is a credit note whose lines and taxes do not add up to its total.
{{ config(meta={'dagster': {'ref': {'name': 'stg_stripe__credit_notes'}}}) }}
with lines as (
    select
        _source,
        credit_note_id,
        sum(amount + tax_amount) as gross_amount
    from {{ ref('stg_stripe__credit_note_lines') }}
    group by _source, credit_note_id
)

select
    credit_notes.credit_note_id,
    credit_notes.total,
    lines.gross_amount
from {{ ref('stg_stripe__credit_notes') }} as credit_notes
left join lines
    on credit_notes._source = lines._source and credit_notes.credit_note_id = lines.credit_note_id
where credit_notes.total <> coalesce(lines.gross_amount, 0)
