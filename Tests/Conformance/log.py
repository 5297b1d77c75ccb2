# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""The log of a space, and the names of its changes where chains fork: change-format.md, section 10."""

from dataclasses import replace

from changes import Chain, Past
from codec import sha256, u64


def branch_name(replica, number, header_hash):
    """The name of a branch that begins with a number."""
    drawn = sha256(b"tsunagu/branch/1", replica[16:], u64(number), header_hash)[:8]
    return replica[:16] + bytes([drawn[0] | 0x80]) + drawn[1:]


def is_branch(replica):
    return replica[16] & 0x80 != 0


class Space:
    """What was received of a space.

    Every author's changes are a tree: each follows the one whose hash it names. Where one has several successors, each
    of them begins a branch, whose changes go by its name. All names are worked out anew after each run.
    """

    def __init__(self):
        self.runs = []
        self.received = {}
        """hash: Change, under its author's own name"""
        self.in_effect = set()
        """dots"""
        self.file()

    def add(self, run):
        self.runs.append(run)
        self.received |= {change.hash: change for change in run.changes}
        self.file()

    def file(self):
        """Gives every change its name."""
        self.changes = {}
        """dot: Change by its name"""
        self.chains = {}
        """name: Chain at its end"""
        self.paths = {}
        """name: the names that lead to it, the author's own first"""
        self.names = {}
        """hash: name"""
        self.forked = set()
        """names that branches go on from"""
        followers = {}
        for change in self.received.values():
            followers.setdefault((change.replica, change.previous), []).append(change)
        for replica in sorted({change.replica for change in self.received.values()}):
            first = followers[replica, bytes(32)]
            if len(first) > 1:
                self.paths[replica] = [replica]
                self.forked.add(replica)
            left = [(change, replica, [replica], {}, len(first) > 1) for change in first]
            while left:
                change, name, path, seen, is_fork = left.pop()
                if is_fork:
                    seen = seen | {name: change.seq - 1}
                    name = branch_name(change.replica, change.seq, change.hash)
                    path = [*path, name]
                self.put(change, name, path, seen)
                after = followers.get((change.replica, change.hash), [])
                if len(after) > 1:
                    self.forked.add(name)
                left += [(other, name, path, seen, len(after) > 1) for other in after]

    def put(self, change, name, path, seen):
        self.paths[name], self.names[change.hash] = path, name
        past = Past(change.past.vector | {one: last for one, last in seen.items() if last > 0}, change.past.exceptions)
        named = replace(change, replica=name, past=past)
        named.root, named.meant = change.replica, lambda dot: self.meant(dot, name)
        self.changes[named.dot] = named
        self.chains[name] = Chain(change.seq, change.hash, past, change.system_past)

    # MARK: Names

    def ends(self, replica):
        """The branches that nothing forks from, of those that a name leads to."""
        return sorted(name for name, path in self.paths.items() if replica in path and name not in self.forked)

    def part(self, name, seq):
        """The name by which a number goes on the way to a branch."""
        return next((one for one in reversed(self.paths[name]) if (one, seq) in self.changes), None)

    def candidates(self, replica, seq):
        """The names by which a change may go that somebody calls by the name of a chain."""
        if replica not in self.forked or (replica, seq) in self.changes:
            return [replica] if (replica, seq) in self.changes else []
        return sorted({self.part(end, seq) for end in self.ends(replica)} - {None})

    def meant(self, dot, speaker):
        """The changes that an author means by a dot: on its own chain those that led to it."""
        if dot[0] in self.paths.get(speaker, []):
            own = self.part(speaker, dot[1])
            return [(own, dot[1])] if own else []
        return [(name, dot[1]) for name in self.candidates(*dot)] if dot[0] in self.forked else [dot]

    def starts(self, envelope):
        """The places that a run can go on from."""
        if envelope.first == 1:
            return [(None, Chain())]
        return [
            (self.names[one.hash], Chain(one.seq, one.hash, one.past, one.system_past))
            for one in self.received.values()
            if (one.replica, one.seq) == (envelope.replica, envelope.first - 1)
        ]

    def last_number(self, replica):
        """Of an author's chain, with all its branches."""
        return max((chain.seq for name, chain in self.chains.items() if replica in self.paths[name]), default=0)

    def places(self, chains):
        """{name: last number} of a cut or an adoption; a place behind a fork is told by its hash."""
        out = {replica: seq for replica, (seq, _) in chains.items()}
        for replica, (seq, half) in chains.items():
            if half is None or replica not in self.forked and len(self.paths.get(replica, [])) < 2:
                continue
            for name in self.candidates(replica, seq):
                if self.changes[name, seq].hash[:16] != half:
                    continue
                for one in self.paths[name]:
                    end = self.chains[one].seq if one in self.chains else 0
                    out[one] = max(out.get(one, 0), min(seq, end))
        return out
