"""Ganglion's protocol: what is said and how it travels."""
