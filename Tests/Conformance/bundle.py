# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""Bundles: bundle.md, sections 1, 2 and 4."""

import hashlib
import hmac
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from codec import Malformed, Reader, require

PIECE_MAX = 5 << 20
RUN_MAX = 4 << 20
SEQ_MAX = 2**63 - 65_537


class Refused(Exception):
    """A file that is not taken, with its code."""


# MARK: HPKE (RFC 9180), base mode

KEM = b"KEM" + (0x0020).to_bytes(2, "big")
SUITE = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0003))


def labeled_extract(suite, salt, label, material):
    return hmac.digest(salt, b"HPKE-v1" + suite + label + material, "sha256")


def labeled_expand(suite, key, label, info, length):
    info = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    out, block, number = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(key, block + info + bytes([number]), "sha256")
        out, number = out + block, number + 1
    return out[:length]


def hpke_open(own, encapsulated, info, sealed):
    """What a sender sealed for the key `own`; the first message under it."""
    shared = own.exchange(X25519PublicKey.from_public_bytes(encapsulated))
    context = encapsulated + own.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    shared = labeled_expand(KEM, labeled_extract(KEM, b"", b"eae_prk", shared), b"shared_secret", context, 32)
    context = b"\0" + labeled_extract(SUITE, b"", b"psk_id_hash", b"") + labeled_extract(SUITE, b"", b"info_hash", info)
    secret = labeled_extract(SUITE, shared, b"secret", b"")
    key = labeled_expand(SUITE, secret, b"key", context, 32)
    nonce = labeled_expand(SUITE, secret, b"base_nonce", context, 12)
    return ChaCha20Poly1305(key).decrypt(nonce, sealed, b"")


# MARK: The file


@dataclass
class Content:
    ward: bytes
    sender_key: bytes = b""
    bundle: bytes = b""
    part: int = 0
    parts: int = 0
    written_at: int = 0
    vectors: list = field(default_factory=list)
    """[(space, [(replica, seq, header hash)])]"""
    runs: list = field(default_factory=list)


def read_bundle(content, device, receiving_key):
    """Opens and checks a whole file."""
    reader = Reader(content)

    def take(length):
        try:
            return reader.take(length)
        except Malformed as error:
            raise Refused("damaged") from error

    prefix = take(22)
    if prefix[:4] != b"TSBD":
        raise Refused("no_bundle")
    if prefix[4] != 1:
        raise Refused("unknown_version")
    if prefix[21] == 0:
        raise Refused("damaged")
    found = Content(prefix[5:21])
    slots = [take(96) for _ in range(prefix[21])]
    header = content[: reader.place]
    slot = next((slot for slot in slots if slot[:16] == device), None)
    if slot is None:
        raise Refused("for_others")
    info = b"tsunagu/bundle/1/key" + found.ward + device
    try:
        own = X25519PrivateKey.from_private_bytes(receiving_key)
        key = ChaCha20Poly1305(hpke_open(own, slot[16:48], info, slot[48:]))
    except (InvalidTag, ValueError) as error:
        raise Refused("damaged") from error
    state = Pieces(found)
    number = 0
    while not state.is_over:
        start = reader.place
        length = int.from_bytes(take(4), "big")
        if not 16 <= length <= PIECE_MAX:
            raise Refused("damaged")
        sealed = take(length)
        try:
            piece = key.decrypt(bytes(4) + number.to_bytes(8, "big"), sealed, header)
        except InvalidTag as error:
            raise Refused("damaged") from error
        number += 1
        try:
            state.take(piece)
        except Malformed as error:
            raise Refused("malformed") from error
    message = b"tsunagu/bundle/1/signature" + hashlib.sha256(content[:start]).digest()
    try:
        Ed25519PublicKey.from_public_bytes(found.sender_key).verify(state.signature, message)
    except (InvalidSignature, ValueError) as error:
        raise Refused("damaged") from error
    if reader.place != len(content):
        raise Refused("damaged")
    return found


class Pieces:
    """The order and the content of pieces."""

    def __init__(self, content):
        self.content = content
        self.stage = 0
        self.signature = b""

    @property
    def is_over(self):
        return self.stage == 5

    def go(self, stage):
        """1 head, 2 vectors, 3 runs of system, 4 other runs, 5 the end."""
        require(self.stage == 0 and stage == 1 or 0 < self.stage <= stage and stage > 1, "a piece out of place")
        self.stage = stage

    def take(self, piece):
        reader = Reader(piece)
        kind = reader.byte()
        if kind == 1:
            self.head(reader)
        elif kind == 2:
            self.vector(reader)
        elif kind == 3:
            self.runs(reader)
        elif kind == 4:
            self.signature = reader.take(64)
            self.go(5)
        else:
            raise Malformed("an unknown piece")
        reader.end()

    def head(self, reader):
        self.go(1)
        content = self.content
        content.sender_key, content.bundle = reader.take(32), reader.take(16)
        content.part, content.parts = reader.varint(1, 65_536), reader.varint(1, 65_536)
        require(content.part <= content.parts, "a part beyond the last")
        content.written_at = int.from_bytes(reader.take(8), "big")
        require(content.written_at < 1 << 48, "a time out of bounds")

    def vector(self, reader):
        self.go(2)
        space = reader.text(65)
        require(space not in [known for known, _ in self.content.vectors], "a space twice")
        require(len(self.content.vectors) < 4096, "too many spaces")
        entries = reader.repeat(
            reader.varint(0, 65_536), lambda: (reader.replica(), reader.varint(1, SEQ_MAX), reader.take(32))
        )
        require(entries == sorted(set(entries)), "a vector out of order")
        require(len({replica for replica, _, _ in entries}) == len(entries), "an author twice")
        self.content.vectors.append((space, entries))

    def runs(self, reader):
        runs = []
        while reader.place < len(reader.content):
            runs.append(reader.prefixed(RUN_MAX))
        require(1 <= len(runs) <= 1024, "a piece without runs, or of too many")
        spaces = {envelope_space(run) for run in runs}
        require(spaces == {"system"} or "system" not in spaces, "system beside others")
        self.go(3 if spaces == {"system"} else 4)
        self.content.runs += runs


def envelope_space(encoded):
    """The space of an envelope whose form is right."""
    reader = Reader(encoded)
    space = reader.text(65)
    reader.replica()
    reader.varint(1, SEQ_MAX)
    reader.varint(1, 1024)
    reader.take(64)
    return space


def stated(content):
    """A bundle as a vector states it."""
    return {
        "ward": content.ward.hex(),
        "senderKey": content.sender_key.hex(),
        "bundle": content.bundle.hex(),
        "part": content.part,
        "parts": content.parts,
        "writtenAt": content.written_at,
        "vectors": [
            {
                "space": space,
                "chains": [{"replica": r.hex(), "seq": seq, "headerHash": h.hex()} for r, seq, h in entries],
            }
            for space, entries in content.vectors
        ],
        "runs": [run.hex() for run in content.runs],
    }
