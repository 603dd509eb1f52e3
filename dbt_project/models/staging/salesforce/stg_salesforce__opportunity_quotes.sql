-- One row per won opportunity with its accepted primary quote, if any, and its customer.
select
    opportunities.entity_id,
    opportunities.account_id as customer_id,
    opportunities.opportunity_id,
    quotes.quote_id
from {{ ref('stg_salesforce__opportunities') }} as opportunities
left join {{ ref('stg_salesforce__quotes') }} as quotes
    on opportunities._source = quotes._source
    and opportunities.opportunity_id = quotes.opportunity_id
    and quotes.is_primary
    and quotes.status = 'Accepted'
where opportunities.is_won and opportunities.is_closed
