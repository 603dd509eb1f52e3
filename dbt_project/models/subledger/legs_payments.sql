-- One row per leg of a payment entry, and of the later application of unapplied cash.
{{ config(materialized='ephemeral') }}
with payments as (
    select
        payments.* exclude (settled_currency, settled_amount),  -- noqa: RF02
        settlements.settled_currency,
        settlements.functional_currency,
        settlements.gross,
        settlements.gross_fc,
        settlements.fee,
        settlements.fee_fc,
        policies.fee_method,
        policies.payment_tolerance,
        'payment.settled' as event_type,
        'payment' as document_type,
        case payments.channel when 'bank' then 'cash' when 'external' then 'external_asset' else 'processor_clearing' end as money_role,
        coalesce(payments.application_fee_amount, payments.amount) as own_amount
    from ({{ posted('can_payments') }}) as payments
    inner join {{ ref('settlements') }} as settlements on payments.event_key = settlements.event_key
    inner join {{ ref('line_policies') }} as policies
        on payments.entity_id = policies.entity_id and policies.product_family = 'default' and payments.currency = policies.currency
),

-- What an application did to its document: from the document's state where it has one, else in full to the receivable.
effects as (
    select
        event_key, entity_id as invoice_entity_id, document_id as invoice_id, amount,
        sum(eff_receivable) as receivable, sum(eff_unapplied) as unapplied, sum(eff_difference) as difference,
        sum(eff_bad_debt) as bad_debt, sum(eff_recovered) as recovered
    from {{ ref('line_effects') }}
    where kind = 'apply' and is_first
    group by 1, 2, 3, 4
),

applied as (
    select
        applications.event_key, applications.event_type, applications.entity_id, applications.invoice_entity_id,
        applications.payment_id, applications.invoice_id, applications.application_no, applications.amount,
        applications.posting_date, applications.accounting_date, applications.is_prior_period, applications.correlation_id,
        applications.is_invoice_known,
        payments.currency, payments.customer_id, payments.payment_tolerance, payments.own_amount, payments.gross_fc,
        payments.functional_currency,
        invoices.functional_currency as invoice_functional_currency,
        invoices.customer_id as invoice_customer_id,
        'payment' as document_type,
        applications.payment_id as document_id,
        case when effects.invoice_id is not null then effects.receivable when applications.is_invoice_known then applications.amount else 0 end as receivable,
        case when effects.invoice_id is not null then effects.unapplied when applications.is_invoice_known then 0 else applications.amount end as unapplied_raw,
        coalesce(effects.difference, 0) as difference,
        coalesce(effects.bad_debt, 0) as bad_debt,
        coalesce(effects.recovered, 0) as recovered
    from {{ ref('cash_applications') }} as applications
    inner join payments
        on applications.entity_id = payments.entity_id and applications.payment_id = payments.payment_id
    left join effects
        on applications.event_key = effects.event_key and applications.invoice_entity_id = effects.invoice_entity_id
        and applications.invoice_id = effects.invoice_id and applications.amount = effects.amount
    left join {{ ref('documents') }} as invoices
        on applications.invoice_entity_id = invoices.entity_id and invoices.document_type = 'invoice'
        and applications.invoice_id = invoices.document_id
),

placed as (
    select
        *,
        invoice_entity_id <> entity_id as is_for_other_entity,
        amount - unapplied_raw as placed_amount,
        event_type = 'payment.applied' as is_later,
        case when unapplied_raw between 1 and payment_tolerance then 'payment_difference' else 'unapplied_cash' end as rest_role
    from applied
),

shares as (
    select
        *,
        {{ share('gross_fc', 'receivable', 'own_amount') }} as receivable_fc,
        {{ share('gross_fc', 'unapplied_raw', 'own_amount') }} as unapplied_fc,
        {{ share('gross_fc', 'recovered', 'own_amount') }} as recovered_fc,
        {{ share('gross_fc', 'bad_debt', 'own_amount') }} as bad_debt_fc,
        {{ share('gross_fc', 'difference', 'own_amount') }} as difference_fc,
        {{ share('gross_fc', 'placed_amount', 'own_amount') }} as placed_fc
    from placed
),

-- What is left of a payment after applications, direct sale and matching stays unapplied, unless it is within tolerance.
measured as (
    select
        payments.*,
        remainders.remainder,
        case when remainders.is_difference then 'payment_difference' else 'unapplied_cash' end as rest_role,
        {{ share('payments.gross_fc', 'remainders.remainder', 'payments.own_amount') }} as remainder_fc
    from payments
    inner join {{ ref('payment_remainders') }} as remainders on payments.event_key = remainders.event_key
),

direct_lines as (
    select
        lines.*,
        coalesce(lines_fc.net_fc, lines.net_amount) as net_fc,
        coalesce(lines_fc.tax_fc, lines.tax_amount) as tax_fc
    from {{ ref('document_lines') }} as lines
    left join {{ ref('document_line_values') }} as lines_fc
        on lines.entity_id = lines_fc.entity_id and lines.document_type = lines_fc.document_type
        and lines.document_id = lines_fc.document_id and lines.line_id = lines_fc.line_id
    where lines.document_type = 'payment'
)

{{ leg('payments', 'money_role', 'gross - fee', 'gross_fc - fee_fc', leg_no=1, document_id='payment_id', currency='settled_currency',
    customer_id='customer_id', pool="case when money_role = 'processor_clearing' then 'processor_clearing|' || bt_account end") }}
union all
{{ leg('payments', "case fee_method when 'net' then 'revenue' else 'fees' end", 'fee', 'fee_fc', leg_no=2, document_id='payment_id',
    currency='settled_currency', customer_id='customer_id') }}
union all
{{ leg('payments', "'application_fee_revenue'", '-application_fee_amount', '-gross_fc', leg_no=3, document_id='payment_id',
    customer_id='customer_id', where='application_fee_amount is not null') }}
union all
{{ leg('payments', "'deferred_revenue'", '-amount', '-gross_fc', leg_no=4, document_id='payment_id', customer_id='customer_id',
    pool="'advance|' || payment_id", where='is_advance') }}
union all
{{ leg('direct_lines', "case when at_once then 'revenue' else 'deferred_revenue' end", '-net_amount', '-net_fc', leg_no=5, line_id='line_id',
    product_family='product_family', customer_id='customer_id') }}
union all
{{ leg('direct_lines', "'tax_liability'", '-tax_amount', '-tax_fc', leg_no=6, line_id='line_id', product_family='product_family',
    customer_id='customer_id') }}
union all
{{ leg('measured', 'rest_role', '-remainder', '-remainder_fc', leg_no=7, document_id='payment_id', customer_id='customer_id',
    pool="case rest_role when 'unapplied_cash' then 'unapplied_cash|' || payment_id end") }}
union all
{{ leg('shares', 'rest_role', '-unapplied_raw', '-unapplied_fc', leg_no='10 * application_no + 10', customer_id='customer_id',
    pool="case rest_role when 'unapplied_cash' then 'unapplied_cash|' || payment_id end", where='not is_later') }}
union all
{{ leg('shares', "'unapplied_cash'", 'placed_amount', 'placed_fc', is_release='true', leg_no='10 * application_no + 11', customer_id='customer_id',
    pool="'unapplied_cash|' || payment_id", where='is_later') }}
union all
{{ leg('shares', "'accounts_receivable'", '-receivable', '-receivable_fc', is_release='true', leg_no='10 * application_no + 12',
    document_type="'invoice'", document_id='invoice_id', customer_id='invoice_customer_id',
    pool="'accounts_receivable|' || invoice_id", where='not is_for_other_entity') }}
union all
{{ leg('shares', "'payment_difference'", 'difference', 'difference_fc', leg_no='10 * application_no + 13', customer_id='customer_id',
    where='not is_for_other_entity') }}
union all
{{ leg('shares', "'bad_debt'", 'bad_debt', 'bad_debt_fc', leg_no='10 * application_no + 14', customer_id='customer_id',
    where='not is_for_other_entity') }}
union all
{{ leg('shares', "'recoverables'", '-recovered', '-recovered_fc', leg_no='10 * application_no + 15', customer_id='customer_id',
    where='not is_for_other_entity') }}
union all
-- cash for another entity of the group: a payable here, the receivable settled there, same amount and day
{{ leg('shares', "'intercompany_payable'", '-placed_amount', '-placed_fc', leg_no='10 * application_no + 16', customer_id='invoice_entity_id',
    where='is_for_other_entity') }}
union all
{{ leg('shares', "'intercompany_receivable'", 'placed_amount', 'placed_fc', leg_no='10 * application_no + 17', customer_id='entity_id',
    entry_id="event_key || '|' || invoice_entity_id", entity_id='invoice_entity_id', functional_currency='invoice_functional_currency', where='is_for_other_entity') }}
union all
{{ leg('shares', "'accounts_receivable'", '-receivable', '-receivable_fc', is_release='true', leg_no='10 * application_no + 18',
    entry_id="event_key || '|' || invoice_entity_id", entity_id='invoice_entity_id', functional_currency='invoice_functional_currency',
    document_type="'invoice'", document_id='invoice_id', customer_id='invoice_customer_id',
    pool="'accounts_receivable|' || invoice_id", where='is_for_other_entity') }}
union all
{{ leg('shares', "'recoverables'", 'receivable - difference - placed_amount', 'receivable_fc - difference_fc - placed_fc',
    leg_no='10 * application_no + 19', entry_id="event_key || '|' || invoice_entity_id", entity_id='invoice_entity_id',
    functional_currency='invoice_functional_currency', where='is_for_other_entity') }}
union all
{{ leg('shares', "'payment_difference'", 'difference', 'difference_fc', leg_no='10 * application_no + 20',
    entry_id="event_key || '|' || invoice_entity_id", entity_id='invoice_entity_id', functional_currency='invoice_functional_currency',
    where='is_for_other_entity') }}
