"""The cases of the kernel bench, a file per family of kernels; case.py says what a case is.

Importing this package, before anything that computes, holds everybody's libraries to one thread: agents are many.
A case about two threads asks for them itself; threads that have nothing to do may not spin while others are measured.
"""

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
