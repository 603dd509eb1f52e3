"""Test kits for those who extend the product. Nothing here is imported by it."""
