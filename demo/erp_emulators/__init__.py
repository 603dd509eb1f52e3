"""ERPs that misbehave on purpose, over real HTTP: what posting is tried against where no real ERP can be run.

What lives here: one durable, vendor-neutral ledger with the ways in which ERPs fail posters (`core`), and one protocol
face per ERP in front of it (`rest`, `drop`, ...). What does not: anything of the product; an emulator that shared code
with the adapter it tests would share its mistakes.

`python -m demo.erp_emulators --face rest --root DIR --port-file FILE` runs one as a process of its own, which is what
kills of the poster need; `serving(face)` runs one inside the calling process.
"""
