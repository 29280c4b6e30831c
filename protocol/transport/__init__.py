"""How bytes travel: POSIX message queues, Unix sockets, standard input and output.

Owns descriptors and names on the machine. Knows nothing of tasks or of the dispatch core.
"""
