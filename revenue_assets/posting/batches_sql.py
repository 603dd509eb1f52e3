"""The set-based half of cutting batches: temporary tables in one DuckDB connection. Order and commits are in
`batches`."""

from __future__ import annotations

# Policy's summary columns that only refine a line, beside those every line has (account, currency, side).
REFINEMENTS = ("accounting_date", "tax_code", "jurisdiction", "customer_id")
_REFINED = ", ".join(f"""coalesce(json_contains(r.summary_key, '"{c}"'), false) as by_{c}""" for c in REFINEMENTS)


def candidates(booked: str, members: str) -> str:
    """Temporary table `waiting`: booked lines in no live batch (`booked`, `members`: SQL to read the files)."""
    return f"""
-- grain: one booked line that is in no live batch
create or replace temp table waiting as
select b.*, concat_ws('|', b.entry_key, b.entry_hash, b.sign, b.generation) as entry_id
from {booked} as b
anti join {members} as m on b.booked_line_id = m.booked_line_id
"""


# What one pass of the cut takes: lines of entries that nothing holds back, ...
LIVE = """
create or replace temp view uncut as
select * from waiting where entry_id in (select entry_id from settled where waits is null)
"""


def shadow(members: str) -> str:
    """... or lines of shadow entries that are due and in no shadow batch yet (`members`: SQL to read those)."""
    return f"""
create or replace temp view uncut as
select w.* from waiting as w
anti join {members} as m on w.booked_line_id = m.booked_line_id
where entry_id in (select entry_id from settled where waits = 'shadow' and is_due)
"""


def originals(members: str) -> str:
    """Line of a batch in which the original of each reversal stands: a correction goes to the account of what it
    corrects, whatever the account map says by now."""
    return f"""
create or replace temp table original as
with reversal as (
    select
        booked_line_id,
        substr(sha256(concat_ws('|', entry_key, entry_hash, 1, generation, line_no)), 1, 32) as original_line_id
    from uncut where sign = -1
)
select r.booked_line_id, m.batch_key, m.batch_line_no, null::varchar as account_code
from reversal as r
inner join {members} as m on r.original_line_id = m.booked_line_id
"""


NO_ORIGINALS = """
create or replace temp table original
    (booked_line_id varchar, batch_key varchar, batch_line_no integer, account_code varchar)
"""
HAS_REVERSALS = "select count(*) from uncut where sign = -1"
# Reversals whose account the map has changed since.
KEPT_ACCOUNTS = """
select c.entity_id, c.account_role, c.account_code, c.mapped_code, count(*)
from coded as c
where c.account_code not in (c.mapped_code, c.general_code) group by all order by all
"""


def mapped(state: str) -> list[str]:
    """Temporary tables `summary` (policy by entity) and `coded` (uncut with account code and ERP company) from the
    masters in `state`."""

    def file(name: str) -> str:
        return "read_parquet('" + f"{state}/{name}.parquet".replace("'", "''") + "')"

    def rule(key: str) -> str:
        return f"max(value) filter (where key = '{key}')"

    return [
        f"""
-- grain: entity; how policy wants its lines summarised (POLICY section 6)
create or replace temp table summary as
with rules as (
    select entity_id, {rule("summary_key")} as summary_key, {rule("net_lines")} as net_lines,
        {rule("detail_threshold")} as detail_threshold, {rule("min_line")} as min_line
    from {file("policy")}
    where product_family is null and currency is null
    group by entity_id
)
select
    e.entity_id, e.erp_company, coalesce(r.net_lines = 'true', false) as is_net,
    try_cast(r.detail_threshold as bigint) as detail_threshold,
    coalesce(try_cast(r.min_line as bigint), 0) as min_line,
    r.summary_key is null or json_contains(r.summary_key, '"product_family"') as by_product_family,
    r.summary_key is null or json_contains(r.summary_key, '"prior_period"') as by_prior_period,
    {_REFINED}
from {file("entities")} as e
left join rules as r using (entity_id)
""",
        f"""
-- grain: one uncut line with its account: that of what it reverses, else the family's own, else the role's.
-- `general_code` is where lines of a family too small to show go (policy min_line).
create or replace temp table coded as
select
    u.*, s.erp_company, coalesce(original.account_code, own.account_code, general.account_code) as account_code,
    coalesce(own.account_code, general.account_code) as mapped_code,
    coalesce(rest.account_code, general.account_code, own.account_code) as general_code,
    original.account_code as original_code,
    null::struct(name varchar, value varchar)[] as extra, null::varchar[] as origins,
    null::varchar as missing_dimension, null::varchar as item, null::varchar as source_line, false as is_item_missing
from uncut as u
left join summary as s on u.entity_id = s.entity_id
left join original on u.booked_line_id = original.booked_line_id
left join {file("accounts")} as own
    on u.entity_id = own.entity_id and u.account_role = own.account_role and u.product_family = own.product_family
left join {file("accounts")} as general
    on u.entity_id = general.entity_id and u.account_role = general.account_role and general.product_family is null
left join {file("accounts")} as rest
    on u.entity_id = rest.entity_id and u.account_role = rest.account_role and rest.product_family = 'default'
""",
    ]


# After dimensions and items, which may find something missing too.
ENTRIES = [
    """
-- grain: one mapping that is missing, with what waits for it
create or replace temp table unmapped as
select
    entity_id, account_role, product_family, erp_company is null as is_company, functional_currency,
    min(posting_period) as period, count(*) as line_count, count(distinct entry_id) as entry_count,
    sum(abs(amount_fc))::bigint as amount,
    case when erp_company is not null and account_code is not null then coalesce(missing_dimension, 'item')
    end as dimension
from coded
where account_code is null or erp_company is null or missing_dimension is not null or is_item_missing
group by all order by all
""",
    """
-- grain: one booked entry that can be posted whole. Its lines share one event class and one rule hash; should they not,
-- the smallest stands for all, because only a whole entry balances.
create or replace temp table entry as
select
    entry_id, any_value(entity_id) as entity_id, any_value(erp_company) as erp_company, any_value(book) as book,
    any_value(posting_period) as posting_period, min(event_type) as event_class, min(policy_hash) as rule_hash,
    any_value(functional_currency) as functional_currency, sum(greatest(amount_fc, 0))::bigint as gross_fc,
    1::integer as part,
    -- A document of its own, for policy posting_kind detail; summarised otherwise.
    coalesce(any_value(kind), 'journal') as kind, any_value(detail_id) as detail_id
from coded
left join (select entry_id, entry_id as detail_id, kind from detail) as detail using (entry_id)
group by entry_id
having bool_and(
    account_code is not null and erp_company is not null and missing_dimension is null and not is_item_missing
)
""",
]


LINES = """
-- grain: one booked line with the summary line it belongs to
create or replace temp table assigned as
select
    c.booked_line_id, c.booking_id, c.amount_tc, c.amount_fc, c.prior_period, e.*,
    c.account_role, coalesce(small.account_code, c.account_code) as account_code, c.currency,
    case when small.booked_line_id is not null then 'default' when s.by_product_family then c.product_family
    end as line_family,
    if(s.by_prior_period, c.prior_period, null) as line_prior,
    if(s.by_accounting_date, c.accounting_date, null) as line_date,
    if(s.by_tax_code, c.tax_code, null) as line_tax_code,
    if(s.by_jurisdiction, c.jurisdiction, null) as line_jurisdiction,
    if(s.by_customer_id, c.customer_id, null) as line_customer,
    if(e.gross_fc >= s.detail_threshold and e.detail_id is null, c.entry_id, null) as line_entry,
    c.extra as line_extra, c.origins, c.item as line_item, c.source_line as line_source,
    s.min_line,
    case
        when s.is_net then 'N'
        when c.amount_fc > 0 or (c.amount_fc = 0 and c.amount_tc > 0) then 'D'
        else 'C'
    end as side
from coded as c
inner join entry as e using (entry_id)
inner join summary as s on c.entity_id = s.entity_id
left join small on c.booked_line_id = small.booked_line_id
"""
NONE_SMALL = "create or replace temp table small (booked_line_id varchar, account_code varchar)"
HAS_MINIMUM = "select count(*) from summary where min_line > 0"
_DOCUMENT = (
    "entity_id, erp_company, book, posting_period, event_class, rule_hash, functional_currency, part, kind, detail_id"
)
_LINE = (
    "account_role, account_code, currency, line_family, line_prior, line_date, line_tax_code, "
    "line_jurisdiction, line_customer, "
    "line_entry, side, line_extra, line_item, line_source"
)
_SAME_LINE = " and ".join(f"a.{c} is not distinct from s.{c}" for c in f"{_DOCUMENT}, {_LINE}".split(", "))
# grain: one line of a summary line below its entity's min_line; it goes into family `default` of its role.
SMALL = f"""
create or replace temp table small as
with below as (
    select {_DOCUMENT}, {_LINE} from assigned where line_family is not null and detail_id is null
    group by all
    having abs(sum(amount_fc)) < any_value(min_line)
)
select a.booked_line_id, coalesce(c.original_code, c.general_code) as account_code
from assigned as a
inner join below as s on {_SAME_LINE}
inner join coded as c on a.booked_line_id = c.booked_line_id
"""
SUMMARISED = f"""
-- grain: one line of one document; numbered in a fixed order, debits before credits of the same account
create or replace temp table summarised as
with grouped as (
    select
        {_DOCUMENT}, {_LINE},
        sum(amount_tc)::bigint as amount_tc, sum(amount_fc)::bigint as amount_fc, count(*)::bigint as member_count,
        bool_or(prior_period) as prior_period,
        sha256(string_agg(booked_line_id, ',' order by booked_line_id)) as members_hash,
        list_sort(list_distinct(flatten(list(origins) filter (where origins is not null)))) as origins
    from assigned
    group by all
)
select
    *,
    dense_rank() over (order by {_DOCUMENT})::integer as document_no,
    row_number() over (
        partition by {_DOCUMENT}
        order by account_role, account_code, currency, line_family nulls first, line_prior nulls first,
            line_date nulls first,
            line_tax_code nulls first, line_jurisdiction nulls first, line_customer nulls first,
                line_entry nulls first, side desc, line_source nulls first, line_item nulls first,
                line_extra nulls first
    )::integer as line_no
from grouped
"""
OVERSIZE = """
select document_no, any_value(entity_id), count(*) from summarised group by document_no having count(*) > {limit}
    order by 1
"""
# Entries of one document in a fixed order, with the summary lines each one touches.
ENTRY_LINES = f"""
select a.entry_id, list(distinct s.line_no order by s.line_no)
from assigned as a
inner join summarised as s on {_SAME_LINE}
where s.document_no = ?
group by a.entry_id order by a.entry_id
"""
DOCUMENT_LINES = f"""
select
    document_no, {_DOCUMENT}, line_no, account_role, account_code, currency, amount_tc,
    greatest(amount_fc, 0)::bigint as debit_fc, (-least(amount_fc, 0))::bigint as credit_fc,
    line_family as product_family, prior_period, member_count, members_hash,
    line_date, line_tax_code, line_jurisdiction, line_customer, line_entry, line_extra, line_item, origins
from summarised order by document_no, line_no
"""
# `document_keys` (document_no, batch_key) is filled by Python, which knows the keys.
MEMBERS = f"""
select a.booked_line_id, k.batch_key, s.line_no as batch_line_no, '{{cut_id}}' as cut_id
from assigned as a
inner join summarised as s on {_SAME_LINE}
inner join document_keys as k on s.document_no = k.document_no
order by k.batch_key, s.line_no, a.booked_line_id
"""
# Conservation: what was taken and what waits is all there was, in rows and in money.
CONSERVATION = """
select
    (select count(*) from uncut), (select count(*) from assigned),
    (select count(*) from coded anti join entry using (entry_id)),
    (select coalesce(sum(amount_fc), 0)::hugeint from uncut)
    - (select coalesce(sum(amount_fc), 0)::hugeint from summarised)
    - (select coalesce(sum(amount_fc), 0)::hugeint from coded anti join entry using (entry_id)),
    (select coalesce(sum(member_count), 0)::bigint from summarised)
"""
TAKEN = "select booking_id, count(*)::bigint from assigned group by booking_id"
# Lines that the live pass took, before the shadow pass fills the same tables.
TAKEN_LINES = "create or replace temp table taken_lines as select booked_line_id from assigned"
WAITING = "select waits, count(*)::bigint from unposted group by waits order by waits"
