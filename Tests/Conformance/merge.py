# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""What a set of changes means: change-format.md, section 7. Everything is worked out anew from the definitions."""

from dataclasses import dataclass

from changes import COUNTER, NULL, REGISTER, SEATS, SET
from codec import Malformed, Reader, U64, base32, sha256, text, varint


@dataclass
class Live:
    """A live (dot, field) pair."""

    change: object
    value: object


def heads(changes):
    """The changes that no other covers."""
    return [one for one in changes if not any(other.covers(one) for other in changes)]


def latest(changes):
    return max(changes, key=lambda change: (change.timestamp, change.replica))


class Register:
    """One group of a record: its heads, and where the value of each member at each head comes from."""

    def __init__(self, writes):
        """`writes`: [(change, {field: Value})]"""
        self.written = {change.dot: values for change, values in writes}
        self.changes = [change for change, _ in writes]
        self.heads = heads(self.changes)
        self.fields = sorted({field for values in self.written.values() for field in values})

    def behind(self, head):
        """The writes that lie behind one: those it covers, and those that lie behind them."""
        found, waiting = {}, [head]
        while waiting:
            one = waiting.pop()
            new = [other for other in self.changes if other.dot not in found and one.covers(other)]
            found.update((other.dot, other) for other in new)
            waiting += new
        return list(found.values())

    def sources(self, head, field):
        past = [one for one in self.behind(head) if field in self.written[one.dot]]
        if field not in self.written[head.dot]:
            return heads(past)
        setters = [one for one in self.changes if field in self.written[one.dot]]
        return [head] + [one for one in past if not any(other.covers(one) for other in setters)]

    def live(self):
        """{(dot, field): change}"""
        return {
            (source.dot, field): source
            for head in self.heads
            for field in self.fields
            for source in self.sources(head, field)
        }

    def shown(self, field):
        sources = self.sources(latest(self.heads), field)
        return self.written[latest(sources).dot][field] if sources else None

    def differs(self):
        """Whether heads or sources differ in the bytes of any member."""
        for field in self.fields:
            found = set()
            for head in self.heads:
                sources = self.sources(head, field)
                found |= {self.written[source.dot][field] for source in sources} or {None}
            if len(found) > 1:
                return True
        return False


class Record:
    """The state of one record of a space."""

    def __init__(self, space, collection, identity, touches):
        """`touches`: [(change, entry)], all that are in effect."""
        self.space, self.collection, self.identity = space, collection, identity
        self.touches = touches
        self.leaf = {change.dot: entry.leaf for change, entry in touches}
        groups = sorted({group for _, entry in touches for group in [*entry.registers, *entry.items]} - {0})
        self.registers, self.items = {}, {}
        for group in groups:
            writes = [(change, entry.registers[group]) for change, entry in touches if group in entry.registers]
            if writes:
                self.registers[group] = Register(writes)
            edits = [(change, *entry.items[group]) for change, entry in touches if group in entry.items]
            if edits:
                self.items[group] = (edits[0][1], live_items([(change, items) for change, _, items in edits]))
        # What says whether it lives.
        self.says_deleted = {}
        speakers = []
        for change, entry in touches:
            if 0 in entry.registers:
                self.says_deleted[change.dot] = entry.registers[0][0].tag != NULL
            elif any(entry.merge_class(group) in (REGISTER, SET) for group in [*entry.registers, *entry.items]):
                self.says_deleted[change.dot] = False
            else:
                continue
            speakers.append(change)
        self.life_heads = heads(speakers)

    @property
    def is_deleted(self):
        said = [self.says_deleted[head.dot] for head in self.life_heads]
        return bool(said) and all(said)

    def conflicts(self, schema):
        """The ids of the record's conflicts."""
        found = []
        if len({self.says_deleted[head.dot] for head in self.life_heads}) > 1:
            found.append(self.conflict_id(0, {head.dot for head in self.life_heads}))
        for group, register in self.registers.items():
            if schema.kind(self.collection, group) == "review" and register.differs():
                found.append(self.conflict_id(group, {dot for dot, _ in register.live()}))
        for group, (_, live) in self.items.items():
            machine = schema.machine(self.collection, group)
            standing = machine.standing(live) if machine else []
            if len({step.end for step in standing}) > 1:
                found.append(self.conflict_id(group, {step.dot for step in standing}))
        return found

    def conflict_id(self, group, dots):
        named = b"".join(replica + varint(seq) for replica, seq in sorted(dots))
        content = text(self.space) + varint(self.collection) + self.identity + varint(group) + named
        return base32(sha256(b"tsunagu/conflict/1", content))[:12]

    def shown(self, schema):
        """{field number as text: what is shown}, of the fields that the schema knows and that show something."""
        out = {}
        for group in schema.groups(self.collection):
            number = group["number"]
            if number in self.registers:
                for field in group["fields"]:
                    value = self.registers[number].shown(field["number"])
                    out[str(field["number"])] = value.shown() if value else None
            elif number in self.items:
                merge_class, live = self.items[number]
                machine = schema.machine(self.collection, number)
                shown = machine.state(live) if machine else shown_items(merge_class, live)
                out[str(group["fields"][0]["number"])] = shown
        return {field: value for field, value in out.items() if value is not None}


def live_items(edits):
    """[(change, Item)] in the order of lists: all that were added, less what a change that covers the addition removed."""
    live = []
    for change, items in edits:
        for item in items.added:
            is_removed = any(
                item.content in other_items.removed and other.covers(change) for other, other_items in edits
            )
            if not is_removed:
                live.append((change, item))
    return sorted(live, key=lambda one: (one[1].depth, one[0].timestamp, *one[0].dot, one[1].place))


def shown_items(merge_class, live):
    """None where nothing is shown; what seats come to is a matter of the ledgers, not of one record."""
    if merge_class == SEATS or not live:
        return None
    if merge_class == COUNTER:
        return tally(item.content for _, item in live)
    contents = [item.content for _, item in live]
    return [content.decode() for content in (sorted(set(contents)) if merge_class == SET else contents)]


def tally(contents):
    """The sum, which wraps at 64 bits; what is no amount counts nothing."""
    total = 0
    for content in contents:
        try:
            reader = Reader(content)
            amount = reader.zigzag()
            reader.end()
        except Malformed:
            continue
        total += amount
    return (total + 2**63 & U64) - 2**63


def records(space, changes, erased):
    """{(collection, id): Record}; `erased` has the (collection, id) of those that hold nothing any more."""
    touches = {}
    for change in changes:
        for entry in change.entries:
            if entry.erased is not None or (entry.collection, entry.record) in erased:
                continue
            touches.setdefault((entry.collection, entry.record), []).append((change, entry))
    return {key: Record(space, *key, found) for key, found in touches.items()}
