{#- One leg of a journal entry, before foreign currency is settled. Debit positive.

    amount_fc: what the leg opens in functional currency, or, with `is_release`, the value to fall back on when the open
    item `pool` carries nothing; an `is_balancing` leg takes what the others leave. A leg in functional currency ignores both. Legs of one entry need not balance across
    currencies: the difference passes through currency_exchange and fx_gain / fx_loss (journal_legs). What may be null is cast:
    a column of bare nulls has no type, and legs are parts of one statement. -#}
{% macro leg(relation, role, amount_tc, amount_fc='null', is_release='false', pool='null', leg_no='1', entry_id=none,
    event_type="event_type", posting_date='posting_date', service_period=none, document_type='document_type',
    document_id='document_id', line_id='null', currency='currency', product_family="'default'", customer_id='null',
    jurisdiction='null', tax_code='null', entity_id='entity_id', is_prior_period='is_prior_period',
    functional_currency='functional_currency', is_balancing='false', where='true') -%}
select
    {{ entry_id or 'event_key' }} as entry_id,
    event_key,
    {{ event_type }} as event_type,
    {{ entity_id }} as entity_id,
    {{ posting_date }} as posting_date,
    {{ service_period or period_of('accounting_date') }} as service_period,
    {{ is_prior_period }} as is_prior_period,
    {{ document_type }} as document_type,
    {{ document_id }} as document_id,
    cast({{ line_id }} as varchar) as line_id,
    cast({{ leg_no }} as integer) as leg_no,
    {{ role }} as account_role,
    {{ currency }} as currency,
    {{ functional_currency }} as functional_currency,
    cast({{ amount_tc }} as bigint) as amount_tc,
    cast({{ amount_fc }} as bigint) as amount_fc,
    {{ is_release }} as is_release,
    {{ is_balancing }} as is_balancing,
    cast({{ pool }} as varchar) as pool,
    {{ product_family }} as product_family,
    cast({{ customer_id }} as varchar) as customer_id,
    cast({{ jurisdiction }} as varchar) as jurisdiction,
    cast({{ tax_code }} as varchar) as tax_code,
    correlation_id
from {{ relation }}
where cast({{ amount_tc }} as bigint) <> 0 and {{ where }}
{%- endmacro %}

{#- Functional value of a document amount at the document's rate; the amount itself in functional currency. -#}
{% macro at_rate(amount, p='') -%}
case when {{ p }}currency = {{ p }}functional_currency then {{ amount }}
    else {{ half_up('cast(' ~ amount ~ ' as hugeint) * ' ~ p ~ 'rate_num', p ~ 'rate_den') }} end
{%- endmacro %}

{#- Where a payment of one entity paid for another, giving the money back reverses the pair of balances between them. -#}
{% macro intercompany_legs(purpose) -%}
{%- set relation -%}
(
    select
        totals.*,
        entities.functional_currency,
        {{ purpose }} as document_type,
        case when totals.currency = totals.document_functional_currency then totals.amount
            else {{ half_up('totals.amount * totals.rate_num', 'totals.rate_den') }} end as document_value,
        case when totals.currency = entities.functional_currency then totals.amount
            when ranges.num is not null then {{ half_up('totals.amount * ranges.num', 'ranges.den') }} end as own_value
    from {{ ref('reduction_totals') }} as totals
    inner join {{ state('entities') }} as entities on totals.entity_id = entities.entity_id
    left join {{ ref('spot_rates') }} as ranges
        on totals.entity_id = ranges.entity_id and totals.currency = ranges.currency and totals.accounting_date = ranges.rate_date
    where totals.purpose = {{ purpose }} and totals.entity_id <> totals.document_entity_id
) as across
{%- endset -%}
{{ leg(relation, "'intercompany_payable'", 'amount', 'coalesce(own_value, amount)', leg_no=95, document_id='reduction_id',
    customer_id='document_entity_id') }}
union all
{{ leg(relation, "'intercompany_receivable'", '-amount', '-document_value', leg_no=96, document_id='reduction_id', customer_id='entity_id',
    entity_id='document_entity_id', functional_currency='document_functional_currency') }}
{%- endmacro %}

{#- One text of the columns of a row, none of them null, and a number for it: as good as its hash, and numbers add up. -#}
{% macro content_text(columns) -%}concat_ws('|', {{ columns | join(', ') }}){%- endmacro %}
{% macro content_number(columns) -%}{{ return(adapter.dispatch('content_number')(columns)) }}{%- endmacro %}
{% macro duckdb__content_number(columns) -%}cast(md5_number_lower({{ content_text(columns) }}) as hugeint){%- endmacro %}
