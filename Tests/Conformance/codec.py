# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""Primitives and identities: change-format.md, sections 1 and 2."""

import base64
import hashlib

U64 = 2**64 - 1


class Malformed(Exception):
    """Bytes that are not what the format says."""


def require(holds, problem):
    if not holds:
        raise Malformed(problem)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def u64(number):
    return number.to_bytes(8, "big")


def varint(number):
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def prefixed(content):
    return varint(len(content)) + content


def text(string):
    return prefixed(string.encode())


def unzigzag(number):
    return number >> 1 ^ -(number & 1)


def base32(content):
    return base64.b32encode(content).decode().lower().rstrip("=")


def device_of_key(key):
    return sha256(b"tsunagu/device/1", key)[:16]


class Reader:
    """Reads bytes from the front; everything that is too short or misspelt is malformed."""

    def __init__(self, content):
        self.content = content
        self.place = 0

    def take(self, length):
        require(self.place + length <= len(self.content), "the bytes end early")
        self.place += length
        return self.content[self.place - length : self.place]

    def byte(self):
        return self.take(1)[0]

    def varint(self, low=0, high=U64, what="a number"):
        number, shift = 0, 0
        while True:
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
            require(shift < 70, "a number of more than 64 bits")
        require(number <= U64, "a number of more than 64 bits")
        require(byte != 0 or shift == 7, "a number in a longer spelling")
        require(low <= number <= high, f"{what} out of bounds: {number}")
        return number

    def zigzag(self):
        return unzigzag(self.varint())

    def prefixed(self, most=U64):
        return self.take(self.varint(0, most, "a length"))

    def text(self, most=U64):
        return utf8(self.prefixed(most))

    def replica(self):
        return self.take(24)

    def flag(self):
        flag = self.byte()
        require(flag <= 1, "a flag that is neither 0 nor 1")
        return flag == 1

    def repeat(self, count, read):
        return [read() for _ in range(count)]

    def end(self):
        require(self.place == len(self.content), "bytes left over")


def utf8(content):
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed("text that is not UTF-8") from error
