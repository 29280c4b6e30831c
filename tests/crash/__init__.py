"""The crash harness: a real coordinator, agents and clients, killed at random, and ledgers that tell."""
