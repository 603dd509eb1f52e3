-- One row per booked journal line: the drill between a line of an ERP document and the billing event behind it.
with booked as (
    select * from {{ booked_lines() }}
    where posting_period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

members as (
    select * from {{ posting_members() }}
    qualify row_number() over (partition by booked_line_id order by batch_key, batch_line_no) = 1
),

batches as (
    select * from {{ state('posting_batches') }}
),

batch_lines as (
    select * from {{ state('posting_batch_lines') }}
),

events as (
    select * from {{ ref('events') }}
),

currencies as (
    select * from {{ state('currencies') }}
)

select
    booked.booked_line_id,
    booked.booking_id,
    booked.entry_key,
    booked.entity_id as entity_code,
    booked.posting_period as period,
    coalesce(booked.service_period, booked.period) as service_period,
    booked.posting_date,
    booked.accounting_date,
    booked.prior_period,
    booked.sign < 0 as is_reversal,
    booked.event_type,
    coalesce(booked.event_key, '') as event_key,
    coalesce(events.vendor_record, '') as source_record,
    coalesce(booked.document_type, '') as document_type,
    coalesce(booked.document_id, '') as document_id,
    coalesce(booked.document_line_id, '') as document_line_id,
    coalesce(booked.correlation_id, '') as correlation_id,
    coalesce(booked.customer_id, '') as customer,
    coalesce(booked.product_family, '') as product_family,
    booked.account_role,
    coalesce(batch_lines.account_code, '') as account_code,
    booked.currency,
    {{ recon_to_major('booked.amount_tc', 'tc.exponent') }} as amount,
    booked.functional_currency,
    {{ recon_to_major('booked.amount_fc', 'fc.exponent') }} as functional_amount,
    coalesce(members.batch_key, '') as idempotency_key,
    cast(coalesce(members.batch_line_no, 0) as integer) as batch_line_no,
    coalesce(batches.status, 'not posted') as status,
    coalesce(batches.erp_document_number, '') as erp_document,
    coalesce(booked.policy_hash, '') as policy_version
from booked
left join members on booked.booked_line_id = members.booked_line_id
left join batches on members.batch_key = batches.batch_key
left join batch_lines on members.batch_key = batch_lines.batch_key and members.batch_line_no = batch_lines.line_no
left join events on booked.event_key = events.event_key
inner join currencies as tc on booked.currency = tc.currency
inner join currencies as fc on booked.functional_currency = fc.currency
