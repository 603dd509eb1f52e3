"""Thin Dagster faces over the rooms: an asset fetches, hands to pure code, writes, and says what it did."""
