"""The sObjects the CRM simulator knows: API name, file of the world, id prefix, fields with their SOQL types.

Standard objects and the CPQ managed package (`SBQQ__`). A field of the records that is not listed here is a custom
field; its type follows from its values. A listed field that a record lacks is null, as in an org where nobody filled
it in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property

from demo.simulators.tables import Instance, Record

_SYSTEM = (
    "Id:id IsDeleted:boolean CreatedDate:datetime CreatedById:reference LastModifiedDate:datetime "
    "LastModifiedById:reference SystemModstamp:datetime"
)

_FIELDS: dict[str, tuple[str, str, str]] = {
    "Account": (
        "account",
        "001",
        "Name:string ParentId:reference Type:string OwnerId:reference BillingCountryCode:string BillingCountry:string "
        "BillingState:string BillingStateCode:string BillingCity:string BillingPostalCode:string BillingStreet:string "
        "CurrencyIsoCode:string MasterRecordId:reference AccountNumber:string Industry:string Website:string "
        "Phone:string",
    ),
    "Opportunity": (
        "opportunity",
        "006",
        "AccountId:reference Name:string StageName:string IsWon:boolean IsClosed:boolean Amount:currency "
        "CloseDate:date CurrencyIsoCode:string ContractId:reference Type:string OwnerId:reference "
        "Probability:percent Description:string Pricebook2Id:reference SBQQ__PrimaryQuote__c:reference "
        "SBQQ__Contracted__c:boolean SBQQ__RenewedContract__c:reference SBQQ__AmendedContract__c:reference "
        "Legal_Entity__c:string",
    ),
    "OpportunityLineItem": (
        "opportunity_line_item",
        "00k",
        "OpportunityId:reference PricebookEntryId:reference Product2Id:reference ProductCode:string Name:string "
        "Quantity:double UnitPrice:currency ListPrice:currency TotalPrice:currency Discount:percent "
        "ServiceDate:date CurrencyIsoCode:string Description:string SBQQ__QuoteLine__c:reference",
    ),
    "Product2": (
        "product2",
        "01t",
        "ProductCode:string Name:string Family:string IsActive:boolean Description:string CurrencyIsoCode:string",
    ),
    "PricebookEntry": (
        "pricebook_entry",
        "01u",
        "Pricebook2Id:reference Product2Id:reference ProductCode:string Name:string UnitPrice:currency "
        "CurrencyIsoCode:string IsActive:boolean UseStandardPrice:boolean",
    ),
    "Contract": (
        "contract",
        "800",
        "AccountId:reference ContractNumber:string Status:string StartDate:date EndDate:date ContractTerm:int "
        "ActivatedDate:datetime CurrencyIsoCode:string SBQQ__Quote__c:reference SBQQ__Order__c:reference "
        "SBQQ__Opportunity__c:reference SBQQ__AmendmentStartDate__c:date SBQQ__RenewalForecast__c:boolean",
    ),
    "SBQQ__Quote__c": (
        "quote",
        "a0q",
        "Name:string CurrencyIsoCode:string SBQQ__Account__c:reference SBQQ__Opportunity2__c:reference "
        "SBQQ__Primary__c:boolean SBQQ__Status__c:string SBQQ__Type__c:string SBQQ__StartDate__c:date "
        "SBQQ__EndDate__c:date SBQQ__SubscriptionTerm__c:double SBQQ__NetAmount__c:currency "
        "SBQQ__CustomerAmount__c:currency SBQQ__ListAmount__c:currency SBQQ__MasterContract__c:reference "
        "SBQQ__Ordered__c:boolean SBQQ__BillingFrequency__c:string SBQQ__PaymentTerms__c:string "
        "SBQQ__PriceBook__c:reference",
    ),
    "SBQQ__QuoteLine__c": (
        "quote_line",
        "a0r",
        "Name:string CurrencyIsoCode:string SBQQ__Quote__c:reference SBQQ__Product__c:reference "
        "SBQQ__ProductCode__c:string SBQQ__Quantity__c:double SBQQ__PriorQuantity__c:double "
        "SBQQ__EffectiveQuantity__c:double SBQQ__ListPrice__c:currency SBQQ__RegularPrice__c:currency "
        "SBQQ__SpecialPrice__c:currency SBQQ__CustomerPrice__c:currency SBQQ__NetPrice__c:currency "
        "SBQQ__NetTotal__c:currency SBQQ__ListTotal__c:currency SBQQ__Discount__c:percent "
        "SBQQ__TotalDiscountAmount__c:currency SBQQ__ProrateMultiplier__c:double SBQQ__StartDate__c:date "
        "SBQQ__EndDate__c:date SBQQ__EffectiveStartDate__c:date SBQQ__EffectiveEndDate__c:date "
        "SBQQ__SubscriptionTerm__c:double SBQQ__DefaultSubscriptionTerm__c:double "
        "SBQQ__SubscriptionPricing__c:string SBQQ__SubscriptionType__c:string SBQQ__ProductSubscriptionType__c:string "
        "SBQQ__BillingFrequency__c:string SBQQ__BillingType__c:string SBQQ__ChargeType__c:string "
        "SBQQ__RequiredBy__c:reference SBQQ__ProductOption__c:reference SBQQ__Bundle__c:boolean "
        "SBQQ__UpgradedSubscription__c:reference SBQQ__RenewedSubscription__c:reference SBQQ__Existing__c:boolean "
        "SBQQ__SegmentIndex__c:double SBQQ__SegmentKey__c:string SBQQ__Number__c:double Legal_Entity__c:string",
    ),
}

SOBJECT_NAMES = tuple(_FIELDS)
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


@dataclass
class SObject:
    """One sObject of the org with its records in memory, soft-deleted ones included."""

    name: str
    key_prefix: str
    instance: Instance
    file: str
    listed: dict[str, str]

    @cached_property
    def records(self) -> list[Record]:
        """All records in file order."""
        return [record for _, record in self.instance.rows(self.file)]

    @cached_property
    def by_id(self) -> dict[str, Record]:
        """Records by their 18-character id."""
        return {record["Id"]: record for record in self.records}

    @cached_property
    def fields(self) -> dict[str, str]:
        """Field name -> type; fields only the records have come last."""
        found = dict(self.listed)
        for record in self.records:
            for name, value in record.items():
                if name != "attributes" and (name not in found or (found[name] == "null" and value is not None)):
                    found[name] = _type_of(value)
        return {name: "string" if kind == "null" else kind for name, kind in found.items()}

    @cached_property
    def names(self) -> dict[str, str]:
        """Lower-case field name -> its proper spelling: SOQL does not mind case."""
        return {name.lower(): name for name in self.fields}


def org(instance: Instance) -> dict[str, SObject]:
    """The sObjects of one org by lower-case name."""
    found = {}
    for name, (file, prefix, fields) in _FIELDS.items():
        listed = dict(pair.split(":") for pair in f"{_SYSTEM} {fields}".split())
        found[name.lower()] = SObject(name, prefix, instance, file, listed)
    return found


def _type_of(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "double"
    text = str(value)
    if _DATETIME.match(text):
        return "datetime"
    return "date" if _DATE.fullmatch(text) else "string"
