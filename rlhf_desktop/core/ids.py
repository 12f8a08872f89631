"""Time-ordered identifiers (UUIDv7, RFC 9562 section 5.7): sortable by creation, unique across workstations."""

import os
import threading
import time
import uuid

_TICKS_PER_MS = 4096  # the 12 bits after the version count parts of a millisecond (RFC 9562 section 6.2, method 3)
_lock = threading.Lock()
_last_tick = 0


def new_id() -> str:
    """A UUIDv7 in its canonical 36-character form: 60 bits of time, then 62 random bits.

    Those of one process ascend in the order they were asked for, also within a millisecond or when the clock is set back.
    """
    global _last_tick
    with _lock:
        tick = _last_tick = max(time.time_ns() * _TICKS_PER_MS // 1_000_000, _last_tick + 1)
    millis, part = divmod(tick, _TICKS_PER_MS)
    random = int.from_bytes(os.urandom(8), "big") >> 2
    return str(uuid.UUID(int=millis << 80 | 0x7 << 76 | part << 64 | 0x2 << 62 | random))
