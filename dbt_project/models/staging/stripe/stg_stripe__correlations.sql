-- One row per billing or payment object that belongs to a sale: object id and the opportunity it goes back to.
with invoices as (
    select
        _source,
        invoice_id,
        opportunity_id
    from {{ ref('stg_stripe__invoices') }}
    where opportunity_id is not null
),

credit_notes as (
    select
        credit_notes._source,
        credit_notes.credit_note_id,
        invoices.opportunity_id
    from {{ ref('stg_stripe__credit_notes') }} as credit_notes
    inner join invoices on credit_notes._source = invoices._source and credit_notes.invoice_id = invoices.invoice_id
),

-- A payment of several invoices carries the sale of the first of them.
charges as (
    select
        applications._source,
        applications.charge_id,
        min_by(invoices.opportunity_id, applications.invoice_id) as opportunity_id
    from {{ ref('stg_stripe__payment_applications') }} as applications
    inner join invoices on applications._source = invoices._source and applications.invoice_id = invoices.invoice_id
    group by applications._source, applications.charge_id
),

refunds as (
    select
        refunds._source,
        refunds.refund_id,
        charges.opportunity_id
    from {{ ref('stg_stripe__refunds') }} as refunds
    inner join charges on refunds._source = charges._source and refunds.charge_id = charges.charge_id
),

disputes as (
    select
        disputes._source,
        disputes.dispute_id,
        charges.opportunity_id
    from {{ ref('stg_stripe__disputes') }} as disputes
    inner join charges on disputes._source = charges._source and disputes.charge_id = charges.charge_id
)

select
    _source,
    invoice_id as object_id,
    opportunity_id
from invoices
union all
select
    _source,
    credit_note_id as object_id,
    opportunity_id
from credit_notes
union all
select
    _source,
    charge_id as object_id,
    opportunity_id
from charges
union all
select
    _source,
    refund_id as object_id,
    opportunity_id
from refunds
union all
select
    _source,
    dispute_id as object_id,
    opportunity_id
from disputes
