-- A returned row is a booked line that is not as it was booked, or is not where its entry was put: altered, repeated, left
-- out of its entry's batch, in a line of another kind; or a batch whose lines are not those it was stored with.
{{ config(tags=['after_posting'], meta={'dagster': {'ref': {'name': 'rec_booked_accounts'}}}) }}
{%- set _checked = ref('rec_booked_accounts') %}
with booked as (
    select * from {{ booked_lines() }}
),

members as (
    select booked_line_id, min(batch_key) as batch_key, min(batch_line_no) as batch_line_no
    from {{ posting_members() }}
    group by booked_line_id
),

batch_lines as (
    select * from {{ state('posting_batch_lines') }}
),

placed as (
    select
        booked.*,
        members.batch_key,
        members.batch_line_no
    from booked
    left join members on booked.booked_line_id = members.booked_line_id
),

entries as (
    select
        booking_id, entry_key, entry_hash, sign, generation,
        min(batch_key) as first_batch, max(batch_key) as last_batch, sum(amount_fc) as amount_fc
    from placed
    group by booking_id, entry_key, entry_hash, sign, generation
),

repeated as (
    select booked_line_id from booked
    group by booked_line_id
    having count(*) > 1
),

-- What is computed under an entry's hash. By content, because the hash does not stand for how its lines are numbered.
computed_entries as (
    select distinct entry_key, entry_hash from {{ ref('rec_computed_lines') }}
),

computed_lines as (
    select entry_key, entry_hash, entity_id, account_role, currency, amount_tc, amount_fc from {{ ref('rec_computed_lines') }}
),

judged as (
    select
        placed.booked_line_id,
        placed.entry_key,
        placed.batch_key,
        case
            when repeated.booked_line_id is not null then 'repeated'
            when computed_entries.entry_key is not null and computed_lines.entry_key is null
                then 'altered: its entry has no such line of ' || cast(placed.amount_fc as varchar) || ' on ' || placed.account_role
            when computed_entries.entry_key is null and entries.amount_fc <> 0 then 'altered: its entry does not balance'
            when placed.batch_key is null and entries.first_batch is not null then 'left out of batch ' || entries.first_batch
            when entries.first_batch <> entries.last_batch
                then 'its entry is in batches ' || entries.first_batch || ' and ' || entries.last_batch
            when placed.batch_key is not null and lines.batch_key is null then 'in a batch line that is not there'
            when lines.account_role <> placed.account_role or lines.currency <> placed.currency
                then 'in a batch line of another account or currency'
        end as problem
    from placed
    inner join entries
        on placed.booking_id = entries.booking_id and placed.entry_key = entries.entry_key
        and placed.entry_hash = entries.entry_hash and placed.sign = entries.sign and placed.generation = entries.generation
    left join repeated on placed.booked_line_id = repeated.booked_line_id
    left join computed_entries
        on placed.entry_key = computed_entries.entry_key and placed.entry_hash = computed_entries.entry_hash
    left join computed_lines
        on placed.entry_key = computed_lines.entry_key and placed.entry_hash = computed_lines.entry_hash
        and placed.entity_id = computed_lines.entity_id and placed.account_role = computed_lines.account_role
        and placed.currency = computed_lines.currency and placed.amount_tc * placed.sign = computed_lines.amount_tc
        and placed.amount_fc * placed.sign = computed_lines.amount_fc
    left join batch_lines as lines on placed.batch_key = lines.batch_key and placed.batch_line_no = lines.line_no
),

batches as (
    select
        batches.batch_key,
        batches.line_count as expected,
        count(lines.line_no) as found,
        count(distinct lines.line_no) as numbers,
        coalesce(sum(lines.debit_fc), 0) <> batches.debit_fc or coalesce(sum(lines.credit_fc), 0) <> batches.credit_fc as is_other_sum
    from {{ state('posting_batches') }} as batches
    left join batch_lines as lines on batches.batch_key = lines.batch_key
    group by batches.batch_key, batches.line_count, batches.debit_fc, batches.credit_fc
)

select booked_line_id, entry_key, batch_key, problem from judged
where problem is not null
union all
select
    null as booked_line_id, null as entry_key, batch_key,
    'has ' || cast(found as varchar) || ' of its ' || cast(expected as varchar) || ' lines' as problem
from batches
where found <> expected or numbers <> expected or is_other_sum
