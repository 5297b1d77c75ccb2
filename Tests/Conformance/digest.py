# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""The digest of a space: change-format.md, section 8."""

from codec import U64


def factor(key):
    z = key + 0x9E3779B97F4A7C15 & U64
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9 & U64
    z = (z ^ z >> 27) * 0x94D049BB133111EB & U64
    return (z ^ z >> 31) | 1


def digest(records):
    high = low = 0
    for record in records:
        for dot, key in live_keys(record):
            leaf = record.leaf[dot]
            high += int.from_bytes(leaf[:8], "big") * factor(2 * key)
            low += int.from_bytes(leaf[8:16], "big") * factor(2 * key + 1)
    return (high & U64).to_bytes(8, "big") + (low & U64).to_bytes(8, "big")


def live_keys(record):
    for head in record.life_heads:
        yield head.dot, 0
    for register in record.registers.values():
        for dot, field in register.live():
            yield dot, field << 32
    for group, (_, live) in record.items.items():
        for change, item in live:
            yield change.dot, 1 << 62 | group << 32 | item.place

