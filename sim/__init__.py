"""The simulator: the real dispatch core and journal under a virtual clock, with everything around them made up.

Owns: a clock, a disk, links, honest clients and agents, a ledger that knows what was promised, the search for a run
that breaks a promise, and the shortest replay of it. Knows the protocol, and nothing of daemons or clients. See
docs/simulator.md.
"""
