-- One row per won opportunity with its accepted primary quote, if any, and its customer.
with opportunities as (
    select * from {{ ref('stg_salesforce__opportunities') }}
    where is_won and is_closed
),

quotes as (
    select * from {{ ref('stg_salesforce__quotes') }}
    where is_primary and status = 'Accepted'
)

select
    opportunities.entity_id,
    opportunities.account_id as customer_id,
    opportunities.opportunity_id,
    quotes.quote_id
from opportunities
left join quotes
    on opportunities._source = quotes._source and opportunities.opportunity_id = quotes.opportunity_id
