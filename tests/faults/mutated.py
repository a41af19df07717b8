"""Bytes of files, mutated: what a bad disk, a bad transfer or a bad neighbour may leave."""

import numpy as np


def mutated(content: bytes, rng: np.random.Generator) -> bytes:
    """The same bytes with one change that is seen: flipped, overwritten, cut, doubled, swapped for others, or emptied."""
    while (changed := _once(content, rng)) == content:
        pass
    return changed


def _once(content: bytes, rng: np.random.Generator) -> bytes:
    at, end = sorted(rng.integers(0, len(content) + 1, 2).tolist())
    some = bytes(rng.integers(0, 256, int(rng.integers(1, 9)), dtype=np.uint8))
    byte = bytes([content[at] ^ (1 << int(rng.integers(8)))]) if at < len(content) else b"x"
    digit = b'0123456789-.[]{}",:eE'[int(rng.integers(21))].to_bytes(1, "big")
    ways = (
        content[:at] + byte + content[at + 1 :],
        content[:at] + digit + content[at + 1 :],
        content[:at] + some + content[at + len(some) :],
        content[:at],
        content[:at] + content[end:],
        content[:at] + content[at:end] + content[at:],
        content[:at] + some + content[at:],
        some,
    )
    return ways[int(rng.integers(len(ways)))]
