"""The only module Dagster loads."""

from revenue_assets.build import build_defs

defs = build_defs()
