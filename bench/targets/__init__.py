"""One file per thing that is measured; each has a `TARGET`, the class the harness starts."""
