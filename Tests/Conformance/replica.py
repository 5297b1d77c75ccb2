# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""A reader that takes in runs: sync.md, section 6. It keeps everything in memory and works everything out anew."""

import hmac
import re
from itertools import product

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

import merge
from authority import SYSTEM, Authority
from changes import Chain, Run, RunReader, Unresolved, seal_message
from codec import Malformed, device_of_key, require
from log import Space, branch_name, is_branch
from schema import DEVICE, ERASURE, ROLES, SPACE_INFO

SEQ_MAX = 2**63 - 1 - 65536
BRANCHES_MAX = 16
READINGS_MAX = 64


class Refused(Exception):
    """Why a run is not taken, as a receipt's code."""


class Waits(Exception):
    """What a run needs is not here yet."""


class Replica:
    """Knows the founder's key and takes in what arrives."""

    def __init__(self, schema, root_key):
        self.schema = schema
        self.root_key = root_key
        self.spaces = {}
        self.held = []

    # MARK: State

    def space(self, name):
        return self.spaces.setdefault(name, Space())

    def records(self, name):
        space = self.space(name)
        return merge.records(name, [space.changes[dot] for dot in space.in_effect], self.erased(name))

    def erased(self, name):
        """{(collection, id)} of the records of a space that receipts in its log name."""
        changes = [] if name == SYSTEM else self.space(name).changes.values()
        receipts = [(change, entry) for change in changes for entry in change.entries if entry.collection == ERASURE]
        if not receipts:
            return set()
        erasers = self.authority().ever_admins()
        out = set()
        for change, entry in receipts:
            told = entry.registers.get(1, {})
            if change.replica[:16] not in erasers or not {1, 2} <= set(told):
                continue
            collection, record = told[1].shown(), told[2].shown()
            if not isinstance(collection, int) or not isinstance(record, str):
                continue
            if 16 <= collection < 2**32 and re.fullmatch("[0-9a-f]{32}", record):
                out.add((collection, bytes.fromhex(record)))
        return out

    def exceptions(self, name):
        """The ranges that were received and are not in effect."""
        ranges = []
        space = self.space(name)
        for replica, seq in sorted(dot for dot in space.changes if dot not in space.in_effect):
            if ranges and ranges[-1][0] == replica and ranges[-1][2] == seq - 1:
                ranges[-1][2] = seq
            else:
                ranges.append([replica, seq, seq])
        return ranges

    def shown(self, name, collection, field_numbers):
        """[(id, [shown values])] of the records of a collection that are not deleted."""
        out = []
        for (number, identity), record in sorted(self.records(name).items()):
            if number == collection and not record.is_deleted:
                values = record.shown(self.schema)
                out.append((identity, [values.get(str(number)) for number in field_numbers]))
        return out

    # MARK: Who may what

    def signing_key(self, device):
        """By what a change of `system` ever told; a device is named by its key."""
        if device == device_of_key(self.root_key):
            return self.root_key
        for change in self.space(SYSTEM).changes.values():
            for entry in change.entries:
                told = entry.registers.get(1, {}).get(3) if entry.collection == DEVICE else None
                try:
                    key = bytes.fromhex(told.content.decode())
                except (AttributeError, ValueError):
                    continue
                if device_of_key(key) == device:
                    return key
        return None

    def authority(self):
        return Authority(device_of_key(self.root_key), self.spaces)

    def barred(self, changes):
        """The first number of some changes of a chain that each role may not write."""
        out = {}
        for change in changes:
            for entry in change.entries:
                for role in ROLES:
                    if any(role not in self.schema.writers(entry.collection, group) for group in entry.groups):
                        out[role] = min(out.get(role, change.seq), change.seq)
        return out

    def honours(self, authority, replica, name):
        """The last number of a chain that takes effect."""
        space = self.space(name)
        path = space.paths[replica]
        first = min(change.seq for change in space.changes.values() if change.replica == replica)
        chain = [c for c in space.changes.values() if c.replica == replica or c.replica in path and c.seq < first]
        return authority.honours(replica, name, self.barred(chain))

    def judge(self):
        """Works out anew what is in effect."""
        authority = self.authority()
        for name, space in self.spaces.items():
            ends = {replica: self.honours(authority, replica, name) for replica in space.chains}
            space.in_effect = {dot for dot in space.changes if dot[1] <= ends[dot[0]]}

    def secret(self, space):
        found = [values[0] for _, values in self.shown(space, SPACE_INFO, [2])]
        return bytes.fromhex(found[0]) if found else None

    # MARK: Taking in

    def receive(self, envelope):
        """What becomes of a run, as a receipt's word; afterwards what waited for it is tried again."""
        try:
            outcome = self.take(envelope)
        except Waits:
            self.held.append(envelope)
            return "held"
        except Malformed:
            return "malformed"
        except Refused as refused:
            return str(refused)
        self.retry()
        return outcome

    def retry(self):
        moved = True
        while moved:
            moved = False
            for envelope in list(self.held):
                try:
                    self.take(envelope)
                except Waits:
                    continue
                except (Malformed, Refused):
                    pass
                if envelope in self.held:
                    self.held.remove(envelope)
                moved = True

    def take(self, envelope):
        require(1 <= envelope.count <= 1024, "a count out of bounds")
        require(1 <= envelope.first <= SEQ_MAX, "a number out of bounds")
        require(not is_branch(envelope.replica), "sealed under a branch's name")
        run = self.examine(envelope)
        if not run.changes:
            return "duplicate"
        group = self.together(run)
        outcomes = [self.append(run) for run in group]
        for run in group:
            if run.envelope in self.held:
                self.held.remove(run.envelope)
        return "applied" if "applied" in outcomes else outcomes[0]

    def examine(self, envelope):
        """Checks a run whole and changes nothing. What it gives has only the changes that are not in the log."""
        space = self.space(envelope.space)
        if any(is_same(run, envelope) for run in space.runs):
            return Run(envelope, [], Chain(), {})
        key = self.signing_key(envelope.replica[:16])
        if key is None:
            raise Refused("unknown_device")
        starts = space.starts(envelope)
        if not starts:
            raise Waits()
        run = self.read_from_one(envelope, starts, key)
        run.changes = [change for change in run.changes if change.hash not in space.received]
        if not run.changes:
            return run
        for start, seed in run.blocks.items():
            known = self.seed(space, run.changes[0].previous, start)
            require(known is None or seed is None or known == seed, "a seed that differs from the one known")
        for change in run.changes:
            for entry in change.entries:
                self.schema.check(entry)
        for change in run.changes:
            self.require_in_log(change.past, envelope.space)
            self.require_in_log(change.system_past, SYSTEM)
        if not self.may_branch(space, run.changes[0]):
            raise Refused("equivocation")
        return run

    def read_from_one(self, envelope, starts, key):
        """The run behind the place where its seal is right."""
        failures = []
        for name, chain in starts:
            for reading in self.readings(envelope, name):
                try:
                    run = self.read(envelope, chain, name, reading)
                    self.check_seal(run, key)
                    return run
                except (Malformed, Refused, Waits) as error:
                    failures.append(error)
        for kind in (Refused, Waits, Malformed):
            for failure in failures:
                if isinstance(failure, kind):
                    raise failure
        raise Waits()

    def readings(self, envelope, own):
        """Which branch is meant by the name of each chain that forked: the seal shows it."""
        space = self.space(envelope.space)
        others = sorted(space.forked - set(space.paths.get(own, [])))
        choices = product(*(space.ends(name) for name in others))
        for number, choice in enumerate(choices):
            if number < READINGS_MAX:
                yield dict(zip(others, choice, strict=True))

    def read(self, envelope, chain, own, reading):
        space = self.space(envelope.space)

        def created(replica, seq, place):
            name = replica
            if own is not None and replica == envelope.replica:
                name = space.part(own, seq)
            elif (replica, seq) not in space.changes and replica in reading:
                name = space.part(reading[replica], seq)
            change = space.changes.get((name, seq))
            if change is None:
                return None
            record = change.created(place)
            require(record is not None, "a reference to an entry that creates nothing")
            return record

        try:
            run = RunReader(envelope, chain, created).read()
        except Unresolved as unresolved:
            raise Waits() from unresolved
        for change in run.changes:
            change.seed = run.blocks[change.block_start]
        return run

    def seed(self, space, previous, start):
        """The seed of a block, by the changes before a place; None where it is not known."""
        while previous in space.received:
            change = space.received[previous]
            if change.block_start == start:
                return change.seed
            previous = change.previous
        return None

    def may_branch(self, space, change):
        """Whether a change may follow where it does: branches have a bound."""
        names = {name for name, path in space.paths.items() if path[0] == change.replica}
        others = [c for c in space.received.values() if (c.replica, c.previous) == (change.replica, change.previous)]
        new = {branch_name(change.replica, change.seq, one.hash) for one in [change, *others]} if others else set()
        return len(names | new) <= BRANCHES_MAX + 1

    def check_seal(self, run, key):
        message = seal_message(run.envelope, run.chain.hash)
        try:
            Ed25519PublicKey.from_public_bytes(key).verify(run.envelope.seal, message)
        except InvalidSignature as error:
            raise Refused("bad_seal") from error

    def require_in_log(self, past, name):
        space = self.space(name)
        for replica, last in past.vector.items():
            # Behind a fork the name means no change.
            if replica in space.forked:
                continue
            for seq in range(space.chains.get(replica, Chain()).seq + 1, last + 1):
                if past.has(replica, seq):
                    raise Waits()

    def append(self, run):
        space = self.space(run.envelope.space)
        first = run.changes[0]
        space.add(run)
        self.judge()
        return "applied" if (space.names[first.hash], first.seq) in space.in_effect else "quarantined"

    # MARK: Transactions over several spaces

    def together(self, run):
        """The runs that become visible in one step."""
        group = [run]
        for member in group:
            for name, transaction, timestamp in self.missing_parts(member):
                partner = next((other for other in group if other.envelope.space == name), None)
                if partner is None:
                    partner = self.held_part(run.envelope.replica, name, transaction, timestamp)
                    group.append(partner)
                if not settles(partner, transaction, timestamp):
                    raise Waits()
        return group

    def missing_parts(self, run):
        """[(space, transaction, timestamp)]: parts in other spaces held here that are not in the log."""
        missing = []
        for change in run.changes:
            if change.transaction is None or change.space == SYSTEM:
                continue
            identity, codes = change.transaction
            for name in sorted(self.spaces):
                if name in (SYSTEM, change.space):
                    continue
                secret = self.secret(name)
                if secret is None:
                    continue
                if hmac.digest(secret, b"tsunagu/part/1" + identity, "sha256") not in codes:
                    continue
                other = self.spaces[name]
                own = [c for c in other.changes.values() if c.root == change.replica]
                is_here = any(c.transaction and c.transaction[0] == identity for c in own)
                # Of a chain that forked it may come in any branch.
                lasts = [other.changes[end, other.chains[end].seq] for end in other.ends(change.replica)]
                is_past = bool(own) and all(last.timestamp > change.timestamp for last in lasts)
                if not is_here and not is_past:
                    missing.append((name, identity, change.timestamp))
        return missing

    def held_part(self, replica, name, transaction, timestamp):
        next_seq = self.space(name).last_number(replica) + 1
        for envelope in self.held:
            if (envelope.space, envelope.replica) == (name, replica) and envelope.first <= next_seq:
                try:
                    run = self.examine(envelope)
                except (Malformed, Refused, Waits):
                    continue
                if run.changes and settles(run, transaction, timestamp):
                    return run
        raise Waits()


def is_same(run, envelope):
    """Whether a run in the log is one that somebody brings: by author, first number and seal."""
    return run.changes[0].dot == (envelope.replica, envelope.first) and run.envelope.seal == envelope.seal


def settles(run, transaction, timestamp):
    """Whether a run holds a part of a transaction, or shows that it never comes."""
    last = run.changes[-1]
    return last.timestamp > timestamp or any(c.transaction and c.transaction[0] == transaction for c in run.changes)
