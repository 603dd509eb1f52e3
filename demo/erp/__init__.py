"""The demo's real ERP: Tryton on PostgreSQL, both from PyPI, as separate processes on loopback.

`server.running(home)` starts it, `setup.ensure(...)` gives it companies, charts and periods, `plants.plant(...)`
makes the mistakes people make. Tryton is GPL: it lives in its own virtual environment and is never imported here.
"""
