"""Seeds by name. Apart from `s2m2/seeding.py`, so that what needs no torch does not wait seconds for its import."""

import hashlib

Purpose = str | int


def seed_for(seed: int, *purpose: Purpose) -> int:
    """A 63-bit seed for one purpose: the leading bits of SHA-256 over the seed and the names, so that streams do not overlap."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
