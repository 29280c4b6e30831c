"""The ``ganglion`` command: one small file for each of its commands.

Owns what people type and read. Knows the coordinator only through ``clients/client.py`` and, for
``send``, through the transports. Modules at the top of these files are argparse and the
standard library's light ones: the client is imported when a command really talks to a coordinator.
"""
