-- One row per CPQ quote that is not deleted.
select *
from (
    {{ staged_object('salesforce', 'quote', {
        'quote_id': ['$.Id', 'text'],
        'opportunity_id': ['$.SBQQ__Opportunity2__c', 'text'],
        'is_primary': ['$.SBQQ__Primary__c', 'boolean'],
        'status': ['$.SBQQ__Status__c', 'text'],
        'price_book_id': ['$.SBQQ__PriceBook__c', 'text'],
        'is_deleted': ['$.IsDeleted', 'boolean'],
    }) }}
) as staged
where not coalesce(is_deleted, false)
