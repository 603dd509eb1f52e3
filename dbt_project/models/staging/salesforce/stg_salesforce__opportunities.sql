-- One row per opportunity that is not deleted, won or not.
select *
from (
    {{ staged_object('salesforce', 'opportunity', {
        'opportunity_id': ['$.Id', 'text'],
        'account_id': ['$.AccountId', 'text'],
        'opportunity_type': ['$.Type', 'text'],
        'stage': ['$.StageName', 'text'],
        'is_won': ['$.IsWon', 'boolean'],
        'is_closed': ['$.IsClosed', 'boolean'],
        'close_date': ['$.CloseDate', 'date'],
        'currency': ['$.CurrencyIsoCode', 'text'],
        'entity_id': ['$.Legal_Entity__c', 'text'],
        'is_deleted': ['$.IsDeleted', 'boolean'],
    }) }}
) as staged
where not coalesce(is_deleted, false)
