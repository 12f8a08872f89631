"""Time-ordered identifiers (UUIDv7, RFC 9562 section 5.7): sortable by creation, unique across workstations."""

import os
import time
import uuid


def new_id() -> str:
    """A UUIDv7 in its canonical 36-character form: 48 bits of milliseconds, then random bits."""
    millis = time.time_ns() // 1_000_000
    value = (millis << 80) | int.from_bytes(os.urandom(10), "big")
    value &= ~(0xF << 76) & ~(0x3 << 62)
    return str(uuid.UUID(int=value | (0x7 << 76) | (0x2 << 62)))
