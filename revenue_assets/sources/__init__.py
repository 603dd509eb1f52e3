"""Adapters that pull records out of the connected systems; one module per vendor, each independent of the others."""
