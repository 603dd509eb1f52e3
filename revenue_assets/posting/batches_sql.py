"""The set-based half of cutting batches: temporary tables in one DuckDB connection. Order and commits are in
`batches`."""

from __future__ import annotations

# Policy's summary columns that only refine a line, beside those every line has (account, currency, side).
REFINEMENTS = ("accounting_date", "tax_code", "jurisdiction", "customer_id")
_REFINED = ", ".join(f"""coalesce(json_contains(r.summary_key, '"{c}"'), false) as by_{c}""" for c in REFINEMENTS)


def candidates(booked: str, members: str) -> list[str]:
    """Temporary table `uncut`: booked lines without a batch (`booked`, `members`: SQL to read the manifest's files)."""
    return [
        f"""
-- grain: one booked line that is in no batch
create or replace temp table uncut as
select b.*, concat_ws('|', b.entry_key, b.entry_hash, b.sign, b.generation) as entry_id
from {booked} as b
anti join {members} as m on b.booked_line_id = m.booked_line_id
"""
    ]


def mapped(state: str) -> list[str]:
    """Temporary tables `coded` (uncut with account code and ERP company), `unmapped` and `entry` from the
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
        {rule("detail_threshold")} as detail_threshold
    from {file("policy")}
    where product_family is null and currency is null
    group by entity_id
)
select
    e.entity_id, e.erp_company, coalesce(r.net_lines = 'true', false) as is_net,
    try_cast(r.detail_threshold as bigint) as detail_threshold,
    r.summary_key is null or json_contains(r.summary_key, '"product_family"') as by_product_family,
    r.summary_key is null or json_contains(r.summary_key, '"prior_period"') as by_prior_period,
    {_REFINED}
from {file("entities")} as e
left join rules as r using (entity_id)
""",
        f"""
-- grain: one uncut line with its account; the family's own account wins over the role's
create or replace temp table coded as
select u.*, s.erp_company, coalesce(own.account_code, general.account_code) as account_code
from uncut as u
left join summary as s on u.entity_id = s.entity_id
left join {file("accounts")} as own
    on u.entity_id = own.entity_id and u.account_role = own.account_role and u.product_family = own.product_family
left join {file("accounts")} as general
    on u.entity_id = general.entity_id and u.account_role = general.account_role and general.product_family is null
""",
        """
-- grain: one mapping that is missing, with what waits for it
create or replace temp table unmapped as
select
    entity_id, account_role, product_family, erp_company is null as is_company, functional_currency,
    min(posting_period) as period, count(*) as line_count, count(distinct entry_id) as entry_count,
    sum(abs(amount_fc))::bigint as amount
from coded
where account_code is null or erp_company is null
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
    1::integer as part
from coded
group by entry_id
having bool_and(account_code is not null and erp_company is not null)
""",
    ]


LINES = """
-- grain: one booked line with the summary line it belongs to
create or replace temp table assigned as
select
    c.booked_line_id, c.booking_id, c.amount_tc, c.amount_fc, c.prior_period, e.*,
    c.account_role, c.account_code, c.currency,
    if(s.by_product_family, c.product_family, null) as line_family,
    if(s.by_prior_period, c.prior_period, null) as line_prior,
    if(s.by_accounting_date, c.accounting_date, null) as line_date,
    if(s.by_tax_code, c.tax_code, null) as line_tax_code,
    if(s.by_jurisdiction, c.jurisdiction, null) as line_jurisdiction,
    if(s.by_customer_id, c.customer_id, null) as line_customer,
    if(e.gross_fc >= s.detail_threshold, c.entry_id, null) as line_entry,
    case
        when s.is_net then 'N'
        when c.amount_fc > 0 or (c.amount_fc = 0 and c.amount_tc > 0) then 'D'
        else 'C'
    end as side
from coded as c
inner join entry as e using (entry_id)
inner join summary as s on c.entity_id = s.entity_id
"""
_DOCUMENT = "entity_id, erp_company, book, posting_period, event_class, rule_hash, functional_currency, part"
_LINE = (
    "account_role, account_code, currency, line_family, line_prior, line_date, line_tax_code, "
    "line_jurisdiction, line_customer, "
    "line_entry, side"
)
_SAME_LINE = " and ".join(f"a.{c} is not distinct from s.{c}" for c in f"{_DOCUMENT}, {_LINE}".split(", "))
SUMMARISED = f"""
-- grain: one line of one document; numbered in a fixed order, debits before credits of the same account
create or replace temp table summarised as
with grouped as (
    select
        {_DOCUMENT}, {_LINE},
        sum(amount_tc)::bigint as amount_tc, sum(amount_fc)::bigint as amount_fc, count(*)::bigint as member_count,
        bool_or(prior_period) as prior_period,
        sha256(string_agg(booked_line_id, ',' order by booked_line_id)) as members_hash
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
                line_entry nulls first, side desc
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
    line_date, line_tax_code, line_jurisdiction, line_customer, line_entry
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
