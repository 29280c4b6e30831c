"""What the process tests stand on: an instance of their own, real daemons, waiting by state.

Owns: no test. Knows the daemons by their command line and the wire only, never by their modules.
"""

from __future__ import annotations

from support.instance import Sandbox
from support.line import ask, pings
from support.process import Process, Spawn
from support.until import until

__all__ = ["Process", "Sandbox", "Spawn", "ask", "pings", "until"]
