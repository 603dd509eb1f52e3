"""The pretend company: its generated history, the vendors' doors it is served through, and the scorer.

Nothing in the product imports from here; the demo reaches the product through HTTP, files and the CLI.
"""
