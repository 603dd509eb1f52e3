"""The one write path of everything that comes in: lineage, deduplication, quarantine, control totals, contracts."""
