{#- Where the payload of an event type holds money: `plain` paths, and `lists` for required money of list elements. The
    Python contract says the same; a test compares them. -#}
{% macro event_money_fields() %}
{{ return({
    'contract.booked': {
        'plain': ['$.variable_amount'],
        'lists': ['$.discount_allocations[*].amount', '$.lines[*].amount'],
    },
    'estimate.revised': {'plain': ['$.variable_amount', '$.constrained_amount']},
    'pending_charge.recorded': {'plain': ['$.amount']},
    'usage.rated': {'plain': ['$.amount']},
    'invoice.posted': {
        'plain': ['$.customer_balance_applied'],
        'lists': ['$.lines[*].amount', '$.advances[*].amount', '$.installments[*].amount'],
    },
    'credit_note.issued': {
        'plain': ['$.settlement.refund', '$.settlement.customer_balance', '$.settlement.out_of_band'],
        'lists': ['$.lines[*].amount'],
    },
    'customer_balance.adjusted': {'plain': ['$.amount']},
    'tax.recalculated': {'lists': ['$.lines[*].old_amount', '$.lines[*].new_amount']},
    'payment.settled': {
        'plain': ['$.amount', '$.balance_txn.gross', '$.balance_txn.fee', '$.balance_txn.net', '$.settled_amount', '$.direct_charge.amount', '$.direct_charge.tax_amount', '$.application_fee_amount'],
        'lists': ['$.applications[*].amount'],
    },
    'payment.failed': {'plain': ['$.amount']},
    'payment.applied': {'lists': ['$.applications[*].amount']},
    'refund.issued': {
        'plain': ['$.amount', '$.balance_txn.gross', '$.balance_txn.fee', '$.balance_txn.net'],
        'lists': ['$.allocations[*].amount'],
    },
    'dispute.opened': {'plain': ['$.amount']},
    'dispute.funds_withdrawn': {'plain': ['$.amount'], 'lists': ['$.balance_txns[*].gross', '$.balance_txns[*].net']},
    'dispute.funds_reinstated': {
        'plain': ['$.amount'],
        'lists': ['$.balance_txns[*].gross', '$.balance_txns[*].net'],
    },
    'payout.paid': {'plain': ['$.amount']},
    'payout.failed': {'plain': ['$.amount']},
    'balance_txn.reported': {'plain': ['$.balance_txn.gross', '$.balance_txn.fee', '$.balance_txn.net']},
    'bank.line_posted': {'plain': ['$.amount']},
    'balance.reported': {'plain': ['$.balance']},
    'opening_balance.loaded': {'lists': ['$.lines[*].amount']},
}) }}
{% endmacro %}

{#- True if money that is present is not a JSON integer, or a list element lacks its required money. -#}
{% macro event_money_wrong(data, plain, lists) -%}{{ return(adapter.dispatch('event_money_wrong')(data, plain, lists)) }}{%- endmacro %}
{% macro duckdb__event_money_wrong(data, plain, lists) -%}
{%- set integers = "('UBIGINT', 'BIGINT')" -%}
{#- Most payloads have none of the optional fields and lists: finding that out costs no parse. -#}
{%- if plain -%}
{%- if plain | length == 1 -%}contains({{ data }}, '"{{ plain[0][2:] }}"') and {% endif -%}
len(list_filter(json_type({{ data }}, ['{{ plain | join("', '") }}']), lambda t: t not in ('UBIGINT', 'BIGINT', 'NULL'))) > 0
{%- endif -%}
{%- for path in lists -%}
{%- set name = path.split('[')[0] -%}
{{ ' or ' if plain or not loop.first }}(contains({{ data }}, '"{{ name[2:] }}"') and len(list_filter(json_type({{ data }}, '{{ path }}'), lambda t: t in {{ integers }})) <> coalesce(json_array_length({{ data }}, '{{ name }}'), 0))
{%- endfor -%}
{%- endmacro %}
