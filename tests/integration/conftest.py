"""Fixtures of the integration tests; each lives in a module of its own."""

from erp_fixture import erp_server

__all__ = ["erp_server"]
