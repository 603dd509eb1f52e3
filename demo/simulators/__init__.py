"""Vendor API simulators: the demo company's state over loopback HTTP, in the vendors' own shapes.

What lives here: one HTTP application per vendor (CRM, billing, tax engine), read-only over the record files of
the demo world. What does not: the records themselves (`demo.world` makes them), the ERP (a real one runs), and
anything the product imports. The product talks to these servers only over HTTP, with the vendors' public clients.

`python -m demo.simulators --world DIR --port-file FILE` runs them as one process; `serving(...)` runs the same
servers inside the calling process, which is what tests want.
"""
