{#- Exact integer money. Nothing here is ever a floating-point number. -#}

{#- numerator / denominator (> 0) rounded half up, away from zero on ties. HUGEINT inside: 1e13 x 1e24 fits. -#}
{% macro half_up(numerator, denominator) -%}{{ return(adapter.dispatch('half_up')(numerator, denominator)) }}{%- endmacro %}
{% macro duckdb__half_up(numerator, denominator) -%}
cast(
    case when ({{ numerator }}) < 0
        then -((2 * -cast({{ numerator }} as hugeint) + ({{ denominator }})) // (2 * cast({{ denominator }} as hugeint)))
        else (2 * cast({{ numerator }} as hugeint) + ({{ denominator }})) // (2 * cast({{ denominator }} as hugeint))
    end as bigint)
{%- endmacro %}

{#- total x part / whole, half up; whole = 0 gives 0, and signs may be mixed. -#}
{% macro share(total, part, whole) -%}
case
    when ({{ whole }}) = 0 then cast(0 as bigint)
    when ({{ whole }}) > 0 then {{ half_up('cast(' ~ total ~ ' as hugeint) * (' ~ part ~ ')', 'nullif(' ~ whole ~ ', 0)') }}
    else {{ half_up('-cast(' ~ total ~ ' as hugeint) * (' ~ part ~ ')', 'nullif(-(' ~ whole ~ '), 0)') }}
end
{%- endmacro %}

{#- Decimal text (at most 12 places) as an integer scaled by 1e12; NULL stays NULL. -#}
{% macro scaled12(text) -%}{{ return(adapter.dispatch('scaled12')(text)) }}{%- endmacro %}
{% macro duckdb__scaled12(text) -%}
cast(cast({{ text }} as decimal(25, 12)) * cast(1000000000000 as decimal(13, 0)) as hugeint)
{%- endmacro %}

{#- Power of ten as an integer, for currency exponents. -#}
{% macro pow10(n) -%}
case {{ n }} when 0 then 1 when 1 then 10 when 2 then 100 when 3 then 1000 when 4 then 10000 else 1 end
{%- endmacro %}

{#- First day of the calendar month of a date; periods stand in fiscal_periods. -#}
{% macro month_first(day) -%}cast(date_trunc('month', {{ day }}) as date){%- endmacro %}

{#- floor(total x part / whole), also for negative values; whole <> 0. Integer division truncates toward zero, so the
    sign is handled here. -#}
{% macro floor_share(total, part, whole) -%}
cast(
    (cast({{ total }} as hugeint) * ({{ part }})) // ({{ whole }})
    - case when (cast({{ total }} as hugeint) * ({{ part }})) % ({{ whole }}) <> 0
        and ((cast({{ total }} as hugeint) * ({{ part }})) < 0) <> (({{ whole }}) < 0) then 1 else 0 end as bigint)
{%- endmacro %}

{#- Roles that are revalued at the closing rate (IAS 21); deferred revenue is non-monetary and never is. -#}
{% macro monetary_roles() -%}
{{ return([
    'accounts_receivable', 'unbilled_receivable', 'contract_asset', 'processor_clearing', 'cash', 'payouts_in_transit',
    'disputes_receivable', 'refund_liability', 'customer_balance', 'external_customer_balance', 'external_asset',
    'unapplied_cash', 'tax_liability', 'intercompany_receivable', 'intercompany_payable',
]) }}
{%- endmacro %}

{#- Roles of income and expense; everything else but opening_balance (equity) is an asset or a liability. -#}
{% macro income_roles() -%}
{{ return([
    'revenue', 'application_fee_revenue', 'intercompany_revenue', 'recoverables', 'fx_gain', 'discounts', 'refunds',
    'credit_notes', 'disputes', 'voids', 'fees', 'dispute_fees', 'bad_debt', 'other_loss', 'revenue_share_expense',
    'payment_difference', 'fx_loss',
]) }}
{%- endmacro %}

{#- Adds column `result` to `relation`: column `total` (equal within a group) split over the rows of the group by `weight`,
    in multiples of column `unit`: floor of each share, then the missing units to the largest fractions, ties to the
    earliest line_no. A negative total is split as its absolute value and negated; what no unit holds goes to the first. -#}
{% macro allocate_over_lines(relation, total, weight, group_by, result) -%}
select
    ranked.* exclude (alloc_weight, alloc_whole, alloc_units, alloc_floor, alloc_rank),
    cast(case when alloc_whole = 0 then 0
        else case when {{ total }} < 0 then -1 else 1 end * (
            unit * (alloc_floor + case when alloc_rank <= alloc_units - sum(alloc_floor) over (partition by {{ group_by }}) then 1 else 0 end)
            + case when alloc_rank = 1 then abs({{ total }}) % unit else 0 end)
        end as bigint) as {{ result }}
from (
    select
        floored.*,
        row_number() over (
            partition by {{ group_by }}
            order by case when alloc_whole = 0 then 0 else alloc_units * alloc_weight - alloc_floor * alloc_whole end desc, line_no
        ) as alloc_rank
    from (
        select
            weighed.*,
            case when alloc_whole = 0 then 0 else alloc_units * alloc_weight // alloc_whole end as alloc_floor
        from (
            select
                given.*,
                cast(greatest({{ weight }}, 0) as hugeint) as alloc_weight,
                cast(sum(greatest({{ weight }}, 0)) over (partition by {{ group_by }}) as hugeint) as alloc_whole,
                cast(abs({{ total }}) // unit as hugeint) as alloc_units
            from {{ relation }} as given
        ) as weighed
    ) as floored
) as ranked
{%- endmacro %}
