# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""Entries, commitments, headers and runs: change-format.md, sections 3 to 6."""

from dataclasses import dataclass, field
from itertools import pairwise

import zstandard

from codec import Malformed, Reader, prefixed, require, sha256, text, u64, unzigzag, utf8, varint

REGISTER, SET, LOG, COUNTER, SEATS, FLOW = range(1, 7)
NULL, TEXT, INTEGER, BYTES = range(4)
NO_HASH = bytes(32)
RAW_MAX = 8 << 20
CHANGE_BYTES_MAX = 1 << 20
RUN_BYTES_MAX = 5 << 18
SLOT_BYTES_MAX = 1 << 20
LIST_MAX = 65536
U32 = 2**32 - 1


class Unresolved(Exception):
    """A run names a record through a change of another author that is not here."""


# MARK: What had been seen


@dataclass
class Past:
    """What was in effect at an author: a vector, less its exceptions."""

    vector: dict = field(default_factory=dict)
    exceptions: list = field(default_factory=list)

    def has(self, replica, seq):
        if seq > self.vector.get(replica, 0):
            return False
        return not any(r == replica and first <= seq <= last for r, first, last in self.exceptions)

    def advanced(self, moved, exceptions):
        for replica, seq in moved:
            require(seq > self.vector.get(replica, 0), "deps go back")
        return Past(self.vector | dict(moved), self.exceptions if exceptions is None else exceptions)


@dataclass
class Chain:
    """Where an author stands in a space."""

    seq: int = 0
    hash: bytes = NO_HASH
    past: Past = field(default_factory=Past)
    system_past: Past = field(default_factory=Past)


# MARK: Entries


@dataclass
class Operation:
    group: int
    merge_class: int
    fields: list


@dataclass
class Shape:
    collection: int
    operations: list
    content: bytes


def read_shape(reader):
    start = reader.place
    collection = reader.varint(0, U32, "collection")
    operations = reader.repeat(reader.varint(1, 64, "operations"), lambda: read_operation(reader))
    for former, later in pairwise(operations):
        require(former.group < later.group, "groups out of order")
    return Shape(collection, operations, reader.content[start : reader.place])


def read_operation(reader):
    group = reader.varint(0, 62, "group")
    merge_class = reader.byte()
    require(REGISTER <= merge_class <= FLOW, "an unknown class")
    fields = reader.repeat(reader.varint(1, 127, "fields"), lambda: reader.varint(0, 126, "field"))
    for former, later in pairwise(fields):
        require(former < later, "fields out of order")
    if group == 0:
        require(merge_class == REGISTER, "a life that is no register")
    if group == 0 or merge_class != REGISTER:
        require(fields == [0], "a group with another field than 0")
    else:
        require(fields[0] > 0, "field 0 in a register")
    return Operation(group, merge_class, fields)


@dataclass
class Item:
    place: int
    depth: int
    content: bytes


@dataclass
class Items:
    added: list
    removed: list


def read_items(content):
    reader = Reader(content)
    added = []
    for place in range(reader.varint(0, 4096, "items")):
        depth = reader.varint(0, 2**32, "depth")
        added.append(Item(place, depth, reader.prefixed()))
    removed = reader.repeat(reader.varint(0, 4096, "removed items"), reader.prefixed)
    reader.end()
    return Items(added, removed)


@dataclass(frozen=True)
class Value:
    tag: int
    content: bytes

    def check(self):
        if self.tag == NULL:
            require(not self.content, "a null with content")
        elif self.tag == TEXT:
            utf8(self.content)
        elif self.tag == INTEGER:
            reader = Reader(self.content)
            reader.zigzag()
            reader.end()

    def shown(self):
        if self.tag == NULL:
            return None
        if self.tag == TEXT:
            return self.content.decode()
        if self.tag == INTEGER:
            return Reader(self.content).zigzag()
        return {"bytes": self.content.hex()}


@dataclass
class Entry:
    """What a change does to one record."""

    collection: int
    record: bytes
    registers: dict
    """group: {field: Value}; group 0 is the record's life."""
    items: dict
    """group: (class, Items)"""
    content: bytes
    leaf: bytes = b""
    is_created: bool = False
    """Whether its change gave the record its id."""
    erased: list | None = None
    """The groups that an erased entry wrote."""

    @property
    def groups(self):
        return [*self.registers, *self.items] if self.erased is None else self.erased

    def merge_class(self, group):
        return REGISTER if group in self.registers else self.items[group][0]


# MARK: Changes


@dataclass
class Change:
    space: str
    replica: bytes
    seq: int
    timestamp: int
    operator: tuple
    schema_version: int
    block_start: int
    moved: list
    exceptions: list
    system_moved: list
    system_exceptions: list
    previous: bytes
    batch: bytes
    transaction: tuple
    extensions: bytes
    entries: list
    payload_hash: bytes = b""
    hash: bytes = b""
    past: Past = None
    system_past: Past = None
    seed: bytes = b""
    """Of its block of salts."""
    root: bytes = b""
    """Under whose name it is sealed; `replica` is the name that it is filed under."""
    meant: object = None
    """The changes that its author means by a dot."""

    def created(self, place):
        """The id that an entry gave to the record it created."""
        found = place < len(self.entries) and self.entries[place].is_created
        return self.entries[place].record if found else None

    @property
    def dot(self):
        return (self.replica, self.seq)

    def covers(self, other):
        """Whether the author had seen the other change in effect."""
        if other.replica == self.replica:
            return other.seq < self.seq
        return self.past.has(*other.dot)

    def header(self):
        parts = [b"tsunagu/change/1", text(self.space), self.replica, varint(self.seq), u64(self.timestamp)]
        parts += [text(self.operator[0]), text(self.operator[1])]
        parts += [varint(self.schema_version), varint(self.block_start)]
        parts += [deps(self.moved, self.exceptions), deps(self.system_moved, self.system_exceptions)]
        parts += [self.previous, self.payload_hash]
        parts += [b"\0"] if self.batch is None else [b"\1", self.batch]
        if self.transaction is None:
            parts += [b"\0"]
        else:
            identity, codes = self.transaction
            parts += [b"\1", identity, varint(len(codes)), *codes]
        return b"".join(parts + [prefixed(self.extensions)])


def deps(moved, exceptions):
    parts = [varint(len(moved))]
    parts += [replica + varint(seq) for replica, seq in moved]
    if exceptions is None:
        return b"".join(parts + [b"\0"])
    parts += [b"\1", varint(len(exceptions))]
    parts += [replica + varint(first) + varint(last) for replica, first, last in exceptions]
    return b"".join(parts)


class Salts:
    """The pseudo-random output of one change."""

    def __init__(self, seed):
        self.seed = seed

    @classmethod
    def of_block(cls, seed, seq, timestamp):
        return cls(sha256(b"tsunagu/salts/1", seed, u64(seq), u64(timestamp)))

    def salt(self, place):
        return sha256(self.seed, u64(place))[:16]

    def created(self, place):
        return sha256(self.seed, u64(place))[16:]


def payload_hash(leaves):
    return sha256(b"tsunagu/payload/1", u64(len(leaves)), *leaves)


# MARK: Runs


@dataclass
class Envelope:
    space: str
    replica: bytes
    first: int
    count: int
    seal: bytes
    body: bytes

    @property
    def last(self):
        return self.first + self.count - 1


def seal_message(envelope, header_hash):
    return b"tsunagu/seal/1" + text(envelope.space) + envelope.replica + varint(envelope.last) + header_hash


@dataclass
class Run:
    envelope: Envelope
    changes: list
    chain: Chain
    blocks: dict
    """start: seed"""


def read_streams(body):
    """The streams of a body, and whether it is in redacted form."""
    is_redacted = body[:1] == b"\x03"
    body = body[is_redacted:]
    reader = Reader(body)
    code = reader.byte()
    if code == 1:
        raw = body[1:]
        require(len(raw) <= RAW_MAX, "a run of more than 8 MiB")
    elif code == 2:
        length = reader.varint(0, RAW_MAX, "length")
        frame = zstandard.ZstdDecompressor().decompressobj()
        try:
            raw = frame.decompress(body[reader.place :])
        except zstandard.ZstdError as error:
            raise Malformed(f"zstd: {error}") from error
        require(frame.eof and not frame.unused_data, "other than one frame")
        require(len(raw) == length, "another length than the body says")
    else:
        raise Malformed("an unknown form of body")
    reader = Reader(raw)
    lengths = reader.repeat(reader.varint(4 + is_redacted, 4096, "streams"), reader.varint)
    streams = [Reader(reader.take(length)) for length in lengths]
    reader.end()
    return streams, is_redacted


class RunReader:
    """Reads one run on top of where its author's chain stands.

    `created(replica, seq, place)` gives the id of a record that a change in the log created, or None.
    """

    def __init__(self, envelope, chain, created):
        self.envelope = envelope
        self.chain = chain
        self.created = created
        self.changes = []
        self.run_bytes = 0
        self.blocks = {}

    def read(self):
        streams, self.is_redacted = read_streams(self.envelope.body)
        self.dictionary, self.stream, self.shape_numbers, self.ids = streams[:4]
        fixed = 4 + self.is_redacted
        self.openings = streams[4] if self.is_redacted else None
        self.read_dictionary()
        self.columns = {}
        for shape in self.shapes:
            for operation in shape.operations:
                for number in operation.fields:
                    self.columns.setdefault((shape.collection, operation.group, operation.merge_class, number), None)
        require(len(streams) == fixed + 2 * len(self.columns), "streams for other columns than the shapes name")
        for place, name in enumerate(self.columns):
            self.columns[name] = (streams[fixed + 2 * place], streams[fixed + 1 + 2 * place])
        self.milliseconds = 0
        self.operator = self.schema_version = self.batch = None
        for _ in range(self.envelope.count):
            self.read_change()
        for stream in streams:
            stream.end()
        return Run(self.envelope, self.changes, self.chain, self.blocks)

    def read_dictionary(self):
        reader = self.dictionary
        self.block_start = reader.varint(1, self.envelope.first, "block")
        self.seed = self.read_seed(reader)
        self.blocks[self.block_start] = self.seed
        self.replicas = reader.repeat(reader.varint(0, LIST_MAX, "replicas"), reader.replica)
        operators = reader.varint(0, 1024, "operators")
        self.operators = reader.repeat(operators, lambda: (reader.text(256), reader.text(256)))
        self.shapes = reader.repeat(reader.varint(0, 4096, "shapes"), lambda: read_shape(reader))

    def read_seed(self, reader):
        """The seed of a block; None where it was given up."""
        if self.is_redacted:
            code = reader.byte()
            require(code in (0, 1), "an unknown code of a seed")
            if code == 0:
                return None
        return reader.take(16)

    def read_salts(self, seq, timestamp):
        """The salts of a change; None where they stand one by one."""
        if self.seed is not None:
            return Salts.of_block(self.seed, seq, timestamp)
        code = self.openings.byte()
        require(code in (0, 1), "an unknown code of a change's salts")
        return Salts(self.openings.take(32)) if code == 1 else None

    def replica(self):
        return self.replicas[self.stream.varint(0, len(self.replicas) - 1, "replica")]

    def dots(self):
        count = self.stream.varint(1, LIST_MAX, "deps")
        dots = self.stream.repeat(count, lambda: (self.replica(), self.stream.varint()))
        for (former, _), (later, _) in pairwise(dots):
            require(former < later, "deps out of order")
        return dots

    def exceptions(self):
        stream = self.stream
        count = stream.varint(0, LIST_MAX, "exceptions")
        found = stream.repeat(count, lambda: (self.replica(), stream.varint(1), stream.varint()))
        for _, first, last in found:
            require(first <= last, "an exception that ends before it begins")
        for former, later in pairwise(found):
            in_order = former[0] < later[0] or former[0] == later[0] and former[2] < later[1]
            require(in_order, "exceptions out of order or overlapping")
        return found

    def read_change(self):
        stream, seq = self.stream, self.chain.seq + 1
        flags = stream.byte()
        require(flags < 128, "an unknown flag")
        time = stream.varint()
        has_counter = unzigzag(time) & 1
        self.milliseconds += unzigzag(time) >> 1
        counter = stream.varint(1, 0xFFFF, "counter") if has_counter else 0
        require(0 <= self.milliseconds < 2**48, "a time out of bounds")
        timestamp = self.milliseconds << 16 | counter
        count = stream.varint(1, 4096, "entries")
        if flags & 1:
            self.operator = self.operators[stream.varint(0, len(self.operators) - 1, "operator")]
        moved = self.dots() if flags & 2 else []
        exceptions = self.exceptions() if flags & 4 else None
        system_moved = self.dots() if flags & 8 else []
        system_exceptions = self.exceptions() if flags & 16 else None
        if flags & 32:
            self.block_start, self.seed = seq, self.read_seed(stream)
            self.blocks[seq] = self.seed
        batch, transaction, extensions = None, None, b""
        if flags & 64:
            more = stream.byte()
            require(0 < more < 32, "an unknown flag, or none")
            if more & 1:
                self.schema_version = stream.varint(0, U32, "schema version")
            if more & 2:
                batch = stream.take(16)
            if more & 4:
                batch = self.batch
            if more & 8:
                identity = stream.take(16)
                transaction = (identity, stream.repeat(stream.varint(0, 64, "parts"), lambda: stream.take(32)))
            if more & 16:
                extensions = stream.prefixed(65536)
        self.batch = batch
        require(self.operator is not None, "no operator")
        require(self.schema_version is not None, "no schema version")
        named = [replica for replica, *_ in moved + (exceptions or [])]
        require(self.envelope.replica not in named, "deps that name their own author")
        past = self.chain.past.advanced(moved, exceptions)
        system_past = self.chain.system_past.advanced(system_moved, system_exceptions)

        salts = self.read_salts(seq, timestamp)
        entries = []
        for place in range(count):
            entries.append(self.read_entry(seq, place, past, salts))
        records = [(entry.collection, entry.record) for entry in entries]
        require(len(set(records)) == len(records), "a record stands twice in a change")
        size = sum(len(entry.content) for entry in entries)
        require(size <= CHANGE_BYTES_MAX, "a change of more than 1 MiB")
        self.run_bytes += size
        require(self.run_bytes <= RUN_BYTES_MAX, "a run of more than 1.25 MiB")
        change = Change(
            self.envelope.space, self.envelope.replica, seq, timestamp, self.operator, self.schema_version,
            self.block_start, moved, exceptions, system_moved, system_exceptions, self.chain.hash, batch,
            transaction, extensions, entries, past=past, system_past=system_past,
        )  # fmt: skip
        change.payload_hash = payload_hash([entry.leaf for entry in entries])
        change.hash = sha256(change.header())
        self.changes.append(change)
        self.chain = Chain(seq, change.hash, past, system_past)

    def read_entry(self, seq, place, past, salts):
        if self.is_redacted:
            code = self.shape_numbers.varint(0, len(self.shapes), "shape")
            if code == 0:
                return self.read_erased(salts)
            shape = self.shapes[code - 1]
        else:
            shape = self.shapes[self.shape_numbers.varint(0, len(self.shapes) - 1, "shape")]
        salt = salts.salt(place) if salts else self.openings.take(16)
        record, is_created = self.read_id(seq, place, past, salts)
        is_created = is_created or salts is not None and record == salts.created(place)
        registers, items, slots = {}, {}, []
        for operation in shape.operations:
            for number in operation.fields:
                heads, contents = self.columns[shape.collection, operation.group, operation.merge_class, number]
                head = heads.varint(0, SLOT_BYTES_MAX << 2 | 3, "slot")
                value = Value(head & 3, contents.take(head >> 2))
                value.check()
                slots += [varint(head), value.content]
                if operation.merge_class == REGISTER:
                    registers.setdefault(operation.group, {})[number] = value
                else:
                    require(value.tag == BYTES, "items that are no bytes")
                    found = read_items(value.content)
                    require(operation.merge_class == SET or not found.removed, "a removal from what is no set")
                    items[operation.group] = (operation.merge_class, found)
        content = shape.content + record + b"".join(slots)
        leaf = sha256(salt, content)
        return Entry(shape.collection, record, registers, items, content, leaf, is_created=is_created)

    def read_erased(self, salts):
        """What is left of an erased entry: its groups without values, its record and its leaf."""
        shape = self.shapes[self.shape_numbers.varint(0, len(self.shapes) - 1, "shape")]
        require(salts is None, "an erased entry beside its seed")
        code = self.ids.varint(0, 1, "an erased entry's id")
        groups = [operation.group for operation in shape.operations]
        return Entry(
            shape.collection, self.ids.take(16), {}, {}, b"", self.openings.take(32), is_created=code == 1, erased=groups
        )

    def read_id(self, seq, place, past, salts):
        """An entry's record, and whether the entry gave it its id."""
        code = self.ids.varint()
        if code == 0:
            return self.ids.take(16), False
        if code == 1:
            return salts.created(place) if salts else self.ids.take(16), True
        return self.read_reference(seq, code, past), False

    def read_reference(self, seq, code, past):
        require(code - 2 < len(self.replicas), "an unknown replica")
        replica, named, entry = self.replicas[code - 2], self.ids.varint(1), self.ids.varint(0, 4096, "entry")
        if replica == self.envelope.replica:
            require(named < seq, "a reference to a change that its author had not seen")
            if named >= self.envelope.first:
                record = self.changes[named - self.envelope.first].created(entry)
                require(record is not None, "a reference to an entry that is not there")
                return record
            record = self.created(replica, named, entry)
            require(record is not None, "a reference to an entry that is not there")
            return record
        require(past.has(replica, named), "a reference to a change that its author had not seen")
        record = self.created(replica, named, entry)
        if record is None:
            raise Unresolved()
        return record
