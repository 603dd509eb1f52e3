{#- Framework of the reconciliations. Every rec_rNN model reads like this:

        with left_side as (...), right_side as (...),
        pairs as ({{ recon_pairs('R5', 'left_side', 'right_side') }}),
        classified as (select *, <case ... end> as variance_class, ... from pairs)
        {{ recon_items('R5', 'classified') }}

    A side has one row per document or group: entity_id, item_date (date), currency, item_key, amount (BIGINT minor
    units, positive in the side's natural direction), reference, customer_id, correlation_id. Amounts are never dropped:
    what a class does not explain ends as `unexplained`, so left - right = sum of variances holds by construction. -#}

{#- Month 'YYYY-MM' of a date; text, because it is the partition key everywhere. The cut-off itself is as_of_date(). -#}
{% macro recon_month(day, entity=none) -%}
{%- if entity and week_calendars() -%}{{ period_of(day, entity) }}{%- else -%}substring(cast({{ day }} as varchar), 1, 7){%- endif -%}
{%- endmacro %}

{#- Full outer join of two sides on (entity, key, occurrence). The n-th row of a key on the left meets the n-th on the
    right, oldest first, so a duplicate stays visible as the row without a partner instead of vanishing in a sum.
    Currency is not part of the join: a partner in another currency is a finding (wrong_currency), not two gaps.
    Tolerance: absolute difference <= max(absolute, share x |left|), symmetric, boundary included.
    Adds: has_left, has_right, left_rows and right_rows (rows of the key on either side), is_match. -#}
{% macro recon_pairs(recon_id, left_side, right_side, left_order='item_date, reference', right_order='item_date, reference') %}
select
    coalesce(l.entity_id, r.entity_id) as entity_id,
    coalesce(l.item_key, r.item_key) as item_key,
    coalesce(l.occurrence, r.occurrence) as occurrence,
    l.item_date as left_date,
    r.item_date as right_date,
    l.currency as left_currency,
    r.currency as right_currency,
    coalesce(l.amount, 0) as left_amount,
    coalesce(r.amount, 0) as right_amount,
    coalesce(l.amount, 0) - coalesce(r.amount, 0) as difference,
    l.reference as left_reference,
    r.reference as right_reference,
    coalesce(l.customer_id, r.customer_id) as customer_id,
    coalesce(l.correlation_id, r.correlation_id) as correlation_id,
    l.item_key is not null as has_left,
    r.item_key is not null as has_right,
    sum(case when l.item_key is not null then 1 else 0 end)
        over (partition by coalesce(l.entity_id, r.entity_id), coalesce(l.item_key, r.item_key)) as left_rows,
    sum(case when r.item_key is not null then 1 else 0 end)
        over (partition by coalesce(l.entity_id, r.entity_id), coalesce(l.item_key, r.item_key)) as right_rows,
    l.item_key is not null
    and r.item_key is not null
    and l.currency = r.currency
    and {{ recon_within('l.amount - r.amount', 'l.amount', 'p') }} as is_match
from (
    select
        *,
        row_number() over (partition by entity_id, item_key order by {{ left_order }}) as occurrence
    from {{ left_side }}
) as l
full outer join (
    select
        *,
        row_number() over (partition by entity_id, item_key order by {{ right_order }}) as occurrence
    from {{ right_side }}
) as r
    on l.entity_id = r.entity_id and l.item_key = r.item_key and l.occurrence = r.occurrence
left join {{ ref('rec_policy') }} as p
    on p.recon_id = '{{ recon_id }}' and p.entity_id = coalesce(l.entity_id, r.entity_id)
{% endmacro %}

{#- True when a difference is within tolerance; `policy` is the alias of a rec_policy row (an absent row tolerates 0).
    Compared in decimals: a share must not turn money into a binary float. -#}
{% macro recon_within(difference, left, policy) -%}
abs({{ difference }}) <= greatest(
    cast(coalesce({{ policy }}.tolerance_absolute, 0) as decimal(38, 12)),
    coalesce({{ policy }}.tolerance_share, 0) * abs({{ left }})
)
{%- endmacro %}

{#- Words of the class that hold for every reconciliation; `rules` is the list of [condition, class] of this one, tried
    in order before the common ones. A difference inside the tolerance is `rounding`: shown, matched, nobody's work. -#}
{% macro recon_class(rules) %}
case
    {%- for condition, variance_class in rules %}
    when {{ condition }} then '{{ variance_class }}'
    {%- endfor %}
    when is_match and difference = 0 then null
    when is_match then 'rounding'
    when not has_right then 'missing_right'
    when not has_left then 'missing_left'
    when left_currency <> right_currency then 'wrong_currency'
    else 'amount'
end
{%- endmacro %}

{#- Common shape of a reconciliation's rows, from a relation that has the columns of recon_pairs and
    variance_class, reference, explanation, expected_clear_period, and optionally match_count (default 1).

    A row belongs to the month of its left side, or of the right side if the left is missing. A pair of the classes in
    `apart` whose sides lie in two months or two currencies becomes two rows, each side in its own month and currency,
    so that a month's totals are the documents of that month; over time the two net to the pair's own difference. -#}
{% macro recon_items(recon_id, relation, apart=['wrong_period', 'timing_in_transit', 'wrong_currency'], match_count='1', erp_document='cast(null as varchar)', anchor='left') %}
{{ recon_shape(recon_id, '(' ~ _recon_item_rows(relation, apart, match_count, erp_document, anchor) ~ ')') }}
{% endmacro %}

{#- The rows of recon_items before their common shape. -#}
{% macro _recon_item_rows(relation, apart, match_count, erp_document, anchor) %}
{%- set other = 'left' if anchor == 'right' else 'right' -%}
{%- set own = 'right' if anchor == 'right' else 'left' -%}
{%- set item_day -%}
case s.side when '{{ other }}' then c.{{ other }}_date when '{{ own }}' then c.{{ own }}_date else coalesce(c.{{ own }}_date, c.{{ other }}_date) end
{%- endset -%}
    select
        c.entity_id,
        c.item_key || case when c.occurrence > 1 then '#' || cast(c.occurrence as varchar) else '' end
        || case when s.side = 'both' then '' else '/' || s.side end as item_key,
        {{ recon_month(item_day, 'c.entity_id') }} as period,
        case s.side when 'right' then c.right_currency else coalesce(c.left_currency, c.right_currency) end as currency,
        case when s.side = 'right' then 0 else c.left_amount end as left_amount,
        case when s.side = 'left' then 0 else c.right_amount end as right_amount,
        c.variance_class,
        c.left_reference,
        c.right_reference,
        c.reference,
        c.customer_id,
        c.correlation_id,
        c.explanation,
        c.expected_clear_period,
        {{ erp_document }} as erp_document,
        c.is_match,
        case when c.is_match then {{ match_count }} else 0 end as match_count
    from (
        select
            *,
            coalesce(has_left and has_right, false)
            and coalesce(variance_class, '') in ('{{ apart | join("', '") }}')
            and (
                left_currency <> right_currency
                or {{ recon_month('left_date', 'entity_id') }} <> {{ recon_month('right_date', 'entity_id') }}
            ) as is_apart
        from {{ relation }}
    ) as c
    inner join (select 'both' as side union all select 'left' as side union all select 'right' as side) as s
        on (c.is_apart and s.side <> 'both') or (not c.is_apart and s.side = 'both')
{% endmacro %}

{#- The columns that every reconciliation model has, in their order and type. `relation` gives them all but the recon's
    id, the difference and the gate. -#}
{% macro recon_shape(recon_id, relation) %}
select
    '{{ recon_id }}' as recon_id,
    i.entity_id,
    i.period,
    i.currency,
    i.item_key,
    cast(i.left_amount as bigint) as left_amount,
    cast(i.right_amount as bigint) as right_amount,
    cast(i.left_amount - i.right_amount as bigint) as difference,
    i.variance_class,
    i.left_reference,
    i.right_reference,
    case when i.variance_class is not null then i.reference end as reference,
    i.customer_id,
    i.correlation_id,
    case when i.variance_class is not null then i.explanation end as explanation,
    i.expected_clear_period,
    i.erp_document,
    {{ recon_gates('i.variance_class', 'i.left_amount - i.right_amount', 'p') }} as gates,
    i.is_match as is_matched,
    cast(i.match_count as bigint) as match_count
from {{ relation }} as i
left join {{ ref('rec_policy') }} as p
    on p.recon_id = '{{ recon_id }}' and p.entity_id = i.entity_id
{% endmacro %}


{#- A close gate: a difference above the entity's materiality that nothing explains. A classified variance has an owner
    and is his; an unexplained one is nobody's until somebody looks. -#}
{% macro recon_gates(variance_class, difference, policy) -%}
coalesce({{ variance_class }} = 'unexplained'
    and abs({{ difference }}) >= coalesce({{ policy }}.materiality_floor, 0)
    and coalesce({{ policy }}.gates_close, true), false)
{%- endmacro %}

{#- CTEs up to `name` (whole, member): the one set of two or more parts that sums to the whole. `relation` has one row per
    pair that may belong together; more than `most` parts are not tried, several sets or a part that two wholes need are
    left to a person. -#}
{% macro subset_sums(name, relation, whole, whole_amount, part, part_amount, most) -%}
{{ return(adapter.dispatch('subset_sums')(name, relation, whole, whole_amount, part, part_amount, most)) }}
{%- endmacro %}
{% macro duckdb__subset_sums(name, relation, whole, whole_amount, part, part_amount, most) -%}
{{ name }}_offered as (
    select
        {{ whole }} as whole, max({{ whole_amount }}) as amount,
        list({{ part }} order by {{ part }}) as members, list({{ part_amount }} order by {{ part }}) as amounts
    from {{ relation }}
    where {{ part_amount }} < {{ whole_amount }}
    group by {{ whole }}
    having count(*) between 2 and {{ most }}
),

{{ name }}_sets as (
    select whole, members, amount, amounts, unnest(range(3, cast(pow(2, len(members)) as bigint))) as chosen
    from {{ name }}_offered
),

{{ name }}_found as (
    select whole, list_transform(
        list_filter(range(len(members)), lambda i: (chosen >> i) & 1 = 1), lambda i: members[i + 1]
    ) as chosen_members
    from {{ name }}_sets
    where list_sum(list_transform(range(len(members)), lambda i: amounts[i + 1] * ((chosen >> i) & 1))) = amount
    qualify count(*) over (partition by whole) = 1
),

{{ name }}_members as (
    select whole, member, count(*) over (partition by member) as claims
    from (select whole, unnest(chosen_members) as member from {{ name }}_found) as taken
),

{{ name }} as (
    select whole, member
    from {{ name }}_members
    qualify max(claims) over (partition by whole) = 1
)
{%- endmacro %}
