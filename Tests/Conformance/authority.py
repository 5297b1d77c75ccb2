# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""Who may do what, from all that was ever said: sync.md, section 8."""

import re
from dataclasses import dataclass, field
from functools import cache

from changes import TEXT
from schema import ADOPTION, GRANT, REVOCATION

SYSTEM = "system"
ROLES = ("admin", "branch", "venue", "auditor")
ALL = 2**64 - 1
DEVICE = re.compile(r"[0-9a-f]{32}")
SEQ_MAX = 2**63 - 65_537
PLACE = re.compile(r"([a-z0-9-]{1,32}(?:/[a-z0-9-]{1,32})?) ([0-9a-f]{48}) ([0-9]+)(?: ([0-9a-f]{32}))?")


@dataclass(eq=False)
class Fact:
    """What a change of `system` said."""

    dot: tuple
    kind: int
    device: bytes = None
    role: str = None
    spaces: tuple = ()
    writes: bool = False
    chains: dict = None
    """(space, replica): (number, half of the hash there or None); None where a revocation has no cut"""

    @property
    def author(self):
        return self.dot[0][:16]


def facts(changes):
    """What the changes of `system` said, whether they are in effect or not."""
    out = []
    for change in changes:
        for entry in change.entries:
            if entry.is_created and entry.collection in (GRANT, REVOCATION, ADOPTION):
                said = fact(change.dot, entry)
                if said is not None:
                    out.append(said)
    return out


def fact(dot, entry):
    values = {
        number: value.content.decode() for number, value in entry.registers.get(1, {}).items() if value.tag == TEXT
    }
    if entry.collection == ADOPTION:
        chains = places(values[1]) if 1 in values else None
        return None if chains is None else Fact(dot, ADOPTION, chains=chains)
    if DEVICE.fullmatch(values.get(1, "")) is None:
        return None
    device = bytes.fromhex(values[1])
    if entry.collection == GRANT:
        if values.get(2) not in ROLES:
            return None
        spaces = tuple(filter(None, values.get(3, "").split(" ")))
        return Fact(dot, GRANT, device, values[2], spaces, values.get(4) == "write")
    if values.get(2) not in ("lost", "retired"):
        return None
    # A cut that does not read honours nothing.
    return Fact(dot, REVOCATION, device, chains=(places(values[3]) or {}) if 3 in values else None)


def places(text):
    """{(space, replica): (number, half hash or None)} of a cut, None where it does not read."""
    out = {}
    for part in filter(None, text.split(";")):
        found = PLACE.fullmatch(part)
        if found is None or int(found[3]) > SEQ_MAX:
            return None
        half = bytes.fromhex(found[4]) if found[4] else None
        out[found[1], bytes.fromhex(found[2])] = (int(found[3]), half)
    return out


def named(said, spaces):
    """The same facts with their places by the names that chains go by; `spaces`: {name: Space}."""
    for one in said:
        if one.chains is None:
            continue
        chains = {}
        for name in {space for space, _ in one.chains}:
            own = {replica: place for (space, replica), place in one.chains.items() if space == name}
            if name in spaces:
                found = spaces[name].places(own)
            else:
                found = {replica: seq for replica, (seq, _) in own.items()}
            chains |= {(name, replica): seq for replica, seq in found.items()}
        one.chains = chains
    return said


@dataclass
class Standing:
    """Who is an admin, and whose words count, while some revocations are in force."""

    root: bytes
    said: list
    revocations: list
    admins: dict = field(default_factory=dict)
    """device: how many grants lead to it"""

    def __post_init__(self):
        self.admins = {self.root: 0}
        appointments = [one for one in self.said if one.kind == GRANT and one.role == "admin" and not self.is_cut(one)]
        moved = True
        while moved:
            moved = False
            for one in appointments:
                length = self.admins.get(one.author, ALL) + 1
                if length < self.admins.get(one.device, ALL):
                    self.admins[one.device] = length
                    moved = True

    def is_cut(self, one):
        replica, seq = one.dot
        return any(
            cut.chains is not None and cut.device == one.author and seq > cut.chains.get((SYSTEM, replica), 0)
            for cut in self.revocations
        )

    def counts(self, one):
        return one.author in self.admins and not self.is_cut(one)


class Authority:
    def __init__(self, root, spaces):
        self.root = root
        self.said = named(facts(spaces[SYSTEM].changes.values()), spaces) if SYSTEM in spaces else []
        self.revocations = self.revocations_that_count()
        self.standing = Standing(root, self.said, self.revocations)

    def revocations_that_count(self):
        before = Standing(self.root, self.said, [])
        claims = [one for one in self.said if one.kind == REVOCATION and before.counts(one)]
        contested = [one for one in claims if one.device in before.admins and one.chains is not None]
        voids = {}
        for one in contested:
            alone = Standing(self.root, self.said, [one])
            voids[one] = {other for other in contested if not alone.counts(other)}
        sound = [one for one in contested if one not in voids[one]]

        def reach(start):
            seen, left = set(), [start]
            while left:
                new = {other for other in voids[left.pop()] if other in sound} - seen
                seen |= new
                left += new
            return seen

        reached = {one: reach(one) for one in sound}

        def rank(one):
            return before.admins[one.author], one.dot

        def outdoes(one, other):
            if other in reached[one] and one in reached[other]:
                return rank(one) < rank(other) and (other in voids[one] or one in voids[other])
            return other in voids[one]

        @cache
        def is_accepted(one):
            return not any(other is not one and outdoes(other, one) and is_accepted(other) for other in sound)

        accepted = [one for one in sound if is_accepted(one)]
        after = Standing(self.root, self.said, accepted)
        return accepted + [one for one in claims if one not in contested and after.counts(one)]

    def ever_admins(self):
        """Whom a chain of grants leads to, whatever was revoked."""
        return Standing(self.root, self.said, []).admins

    def roles(self, device, space):
        """The roles in which grants let a device write a space."""
        grants = [one for one in self.said if one.kind == GRANT and one.device == device and self.standing.counts(one)]
        if device == self.root or any(one.role == "admin" for one in grants):
            return {"admin"}
        if space == SYSTEM:
            return set()
        return {one.role for one in grants if one.writes and any(matches(space, spaces) for spaces in one.spaces)}

    def honours(self, replica, space, barred):
        """The last number of a chain that takes effect, 0 for none; `barred` has the first that a role may not write."""
        device = replica[:16]
        end = max((barred.get(role, ALL + 1) - 1 for role in self.roles(device, space)), default=0)
        for one in self.revocations:
            if one.device == device and one.chains is not None:
                end = min(end, one.chains.get((space, replica), 0))
        for one in self.said:
            if one.kind == ADOPTION and space != SYSTEM and self.standing.counts(one):
                end = max(end, one.chains.get((space, replica), 0))
        return end


def matches(space, pattern):
    if pattern == "*":
        return True
    if pattern.endswith("/*"):
        return space.startswith(pattern[:-1])
    return space == pattern
