-- One row per refund or dispute event (or failed refund) and legal entity whose documents it reduces: the gross it takes.
select
    effects.event_key,
    facts.entity_id,
    effects.entity_id as document_entity_id,
    effects.purpose,
    max(effects.reference_id) as reduction_id,
    facts.type as event_type,
    effects.posting_date,
    facts.effective_date as accounting_date,
    coalesce(bool_or(verdicts.is_prior_period), false) as is_prior_period,
    facts.correlation_id,
    documents.currency,
    max(documents.functional_currency) as document_functional_currency,
    cast(sum(
        effects.eff_net + effects.eff_tax + effects.eff_excess + effects.eff_recovered_contra - effects.eff_recovered
    ) as bigint) as amount,
    max(documents.rate_num) as rate_num,
    max(documents.rate_den) as rate_den
from {{ ref('line_effects') }} as effects
inner join {{ ref('events') }} as facts on effects.event_key = facts.event_key
inner join {{ ref('documents') }} as documents
    on effects.entity_id = documents.entity_id and effects.document_type = documents.document_type
    and effects.document_id = documents.document_id
left join {{ ref('event_verdicts') }} as verdicts on effects.event_key = verdicts.event_key
where effects.kind in ('reduce', 'restore')
group by
    effects.event_key, facts.entity_id, effects.entity_id, effects.purpose, facts.type, effects.posting_date,
    facts.effective_date, facts.correlation_id, documents.currency
