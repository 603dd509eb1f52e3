"""Conformance: worked examples of other people, run through the whole subledger and compared to the cent.

`cases` reads the YAML, `load` writes it as landed events and policy state, `build` runs dbt once over all of them,
`compare` holds the sections against the warehouse, `run` ties it together and reports.
"""
