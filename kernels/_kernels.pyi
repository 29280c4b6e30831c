# The compiled extension. Its functions are declared in csrc/include/ganglion/kernels/*.h, between the
# <cdef> lines; a second list of them here would only be one more to keep right.
from typing import Any

ffi: Any
lib: Any
