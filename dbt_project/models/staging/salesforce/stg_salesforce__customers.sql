-- One row per customer: the CRM account is the golden record.
select
    account_id as customer_id,
    name,
    parent_id as parent_customer_id,
    country,
    currency
from {{ ref('stg_salesforce__accounts') }}
