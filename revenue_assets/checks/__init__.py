"""Asset checks that SQL cannot say: contracts of landed data, and reconciliations as a controller reads them.

Does not belong here: anything a dbt test can say; those become checks by themselves.
"""
