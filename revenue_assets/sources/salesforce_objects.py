"""Which Salesforce objects land, with the fields asked for and what a whole record looks like.

Only named fields are asked for: a CRM holds much personal data that revenue accounting has no use for. A field marked
in `required` must exist in the org; the others are asked for if the org has them (custom fields differ).
"""

from __future__ import annotations

from dataclasses import dataclass

from revenue_assets.sources.base import ObjectContract

ID_PATTERN = r"[A-Za-z0-9]{15}(?:[A-Za-z0-9]{3})?"
SYSTEM_FIELDS = ("Id", "IsDeleted", "CreatedDate", "SystemModstamp")


@dataclass(frozen=True, slots=True)
class CrmObject:
    """One sObject: its API name, the fields to ask for, and its contract."""

    name: str
    fields: tuple[str, ...]
    contract: ObjectContract


def _object(name: str, fields: str, required: str, amounts: str = "") -> CrmObject:
    contract = ObjectContract(
        required=("Id", "SystemModstamp", *required.split()),
        amounts=tuple(amounts.split()),
        amount_kind="major",
        currency="CurrencyIsoCode" if amounts else None,
        stamps=("SystemModstamp",),
        stamp_kind="iso",
        id_pattern=ID_PATTERN,
    )
    wanted = dict.fromkeys((*SYSTEM_FIELDS, *required.split(), *amounts.split(), *fields.split()))
    return CrmObject(name, tuple(wanted), contract)


CRM_OBJECTS: dict[str, CrmObject] = {
    "account": _object(
        "Account",
        "ParentId Type OwnerId BillingCountryCode BillingStateCode CurrencyIsoCode MasterRecordId AccountNumber",
        "Name",
    ),
    "opportunity": _object(
        "Opportunity",
        "Name Type CurrencyIsoCode ContractId OwnerId SBQQ__PrimaryQuote__c SBQQ__Contracted__c "
        "SBQQ__RenewedContract__c SBQQ__AmendedContract__c Legal_Entity__c",
        "AccountId StageName IsWon IsClosed CloseDate",
        "Amount",
    ),
    "opportunity_line_item": _object(
        "OpportunityLineItem",
        "PricebookEntryId Product2Id ProductCode Name Discount ServiceDate CurrencyIsoCode SBQQ__QuoteLine__c",
        "OpportunityId Quantity",
        "UnitPrice ListPrice TotalPrice",
    ),
    "product2": _object("Product2", "ProductCode Family IsActive Description CurrencyIsoCode", "Name"),
    "pricebook_entry": _object(
        "PricebookEntry",
        "Pricebook2Id ProductCode Name CurrencyIsoCode IsActive UseStandardPrice",
        "Product2Id",
        "UnitPrice",
    ),
    "contract": _object(
        "Contract",
        "ContractNumber StartDate EndDate ContractTerm ActivatedDate CurrencyIsoCode SBQQ__Quote__c SBQQ__Order__c "
        "SBQQ__Opportunity__c SBQQ__AmendmentStartDate__c SBQQ__RenewalForecast__c",
        "AccountId Status",
    ),
    "quote": _object(
        "SBQQ__Quote__c",
        "Name CurrencyIsoCode SBQQ__Account__c SBQQ__Primary__c SBQQ__Type__c SBQQ__StartDate__c SBQQ__EndDate__c "
        "SBQQ__SubscriptionTerm__c SBQQ__CustomerAmount__c SBQQ__ListAmount__c SBQQ__MasterContract__c "
        "SBQQ__Ordered__c SBQQ__BillingFrequency__c SBQQ__PaymentTerms__c SBQQ__PriceBook__c",
        "SBQQ__Opportunity2__c SBQQ__Status__c",
        "SBQQ__NetAmount__c",
    ),
    "quote_line": _object(
        "SBQQ__QuoteLine__c",
        "Name CurrencyIsoCode SBQQ__Product__c SBQQ__ProductCode__c SBQQ__PriorQuantity__c SBQQ__EffectiveQuantity__c "
        "SBQQ__ListPrice__c SBQQ__RegularPrice__c SBQQ__SpecialPrice__c SBQQ__CustomerPrice__c SBQQ__NetPrice__c "
        "SBQQ__ListTotal__c SBQQ__Discount__c SBQQ__TotalDiscountAmount__c SBQQ__ProrateMultiplier__c "
        "SBQQ__StartDate__c SBQQ__EndDate__c SBQQ__EffectiveStartDate__c SBQQ__EffectiveEndDate__c "
        "SBQQ__SubscriptionTerm__c SBQQ__DefaultSubscriptionTerm__c SBQQ__SubscriptionPricing__c "
        "SBQQ__SubscriptionType__c SBQQ__ProductSubscriptionType__c SBQQ__BillingFrequency__c SBQQ__BillingType__c "
        "SBQQ__ChargeType__c SBQQ__RequiredBy__c SBQQ__UpgradedSubscription__c SBQQ__RenewedSubscription__c "
        "SBQQ__Existing__c SBQQ__SegmentIndex__c SBQQ__SegmentKey__c SBQQ__Number__c Legal_Entity__c",
        "SBQQ__Quote__c SBQQ__Quantity__c",
        "SBQQ__NetTotal__c",
    ),
}
