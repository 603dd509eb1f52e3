-- One row per booking, posting batch, entity, period, role, family and ERP account: booked lines, and which are in a batch.
{{ config(tags=['after_posting']) }}

with booked as (
    select * from {{ booked_lines() }}
    where posting_period <= {{ recon_month(as_of_date(), 'entity_id') }}
),

-- A line belongs to one batch; a second membership is counted for R15.
members as (
    select
        booked_line_id,
        min(batch_key) as batch_key,
        min(batch_line_no) as batch_line_no,
        count(*) as uses
    from {{ posting_members() }}
    group by booked_line_id
),

batch_lines as (
    select * from {{ state('posting_batch_lines') }}
),

-- What waits by policy, as the last cut left it; a line that is in a batch by now does not wait.
waiting as (
    select * from {{ state('unposted_lines') }}
    where waits <> 'mapping_missing'
),

-- The account of a family wins over the role's own.
accounts as (
    select * from {{ state('accounts') }}
),

placed as (
    select
        booked.booking_id,
        members.batch_key,
        booked.entity_id,
        booked.posting_period as period,
        booked.functional_currency as currency,
        booked.account_role,
        booked.product_family,
        -- What was posted stays where it was posted, also after a change of the account map.
        coalesce(batch_lines.account_code, family_accounts.account_code, role_accounts.account_code) as account_code,
        booked.amount_fc,
        coalesce(members.uses, 0) as uses,
        case when members.uses is null and waiting.booked_line_id is not null then 1 else 0 end as waits,
        waiting.explanation
    from booked
    left join members on booked.booked_line_id = members.booked_line_id
    left join waiting on booked.booked_line_id = waiting.booked_line_id
    left join batch_lines
        on members.batch_key = batch_lines.batch_key and members.batch_line_no = batch_lines.line_no
    left join accounts as family_accounts
        on booked.entity_id = family_accounts.entity_id
        and booked.account_role = family_accounts.account_role
        and booked.product_family = family_accounts.product_family
    left join accounts as role_accounts
        on booked.entity_id = role_accounts.entity_id
        and booked.account_role = role_accounts.account_role
        and role_accounts.product_family is null
)

select
    booking_id,
    batch_key,
    entity_id,
    period,
    currency,
    account_role,
    product_family,
    account_code,
    cast(count(*) as bigint) as line_count,
    cast(sum(amount_fc) as bigint) as amount_fc,
    cast(sum(abs(amount_fc)) as bigint) as gross_fc,
    cast(sum(case when uses > 0 then 1 else 0 end) as bigint) as posted_lines,
    cast(sum(case when uses > 0 then amount_fc else 0 end) as bigint) as posted_fc,
    cast(sum(case when uses > 0 then abs(amount_fc) else 0 end) as bigint) as posted_gross_fc,
    cast(sum(waits) as bigint) as waiting_lines,
    max(case when waits = 1 then explanation end) as explanation,
    cast(sum(case when uses > 1 then uses - 1 else 0 end) as bigint) as repeated_lines,
    cast(sum(case when uses > 1 then (uses - 1) * abs(amount_fc) else 0 end) as bigint) as repeated_gross_fc
from placed
group by booking_id, batch_key, entity_id, period, currency, account_role, product_family, account_code
