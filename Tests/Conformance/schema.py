# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""What a reader knows of collections: the engine's own (change-format.md, section 9), and those that a vector declares."""

from changes import COUNTER, FLOW, INTEGER, LOG, NULL, REGISTER, SEATS, SET, TEXT
from codec import require
from flow import Machine

CLASSES = {
    "latest": REGISTER, "review": REGISTER, "set": SET, "log": LOG, "counter": COUNTER, "seats": SEATS, "flow": FLOW,
}  # fmt: skip
TAGS = {"text": TEXT, "integer": INTEGER}

DEVICE, GRANT, SPACE_INFO, REVOCATION, ADOPTION, ERASURE = 3, 4, 6, 7, 8, 9
ROLES = ("admin", "branch", "venue", "auditor")
WRITERS = ("admin", "branch", "venue")


def texts(*numbers):
    return [{"number": number, "kind": "text"} for number in numbers]


def review(number, fields):
    return {"number": number, "kind": "review", "fields": fields}


SYSTEM = [
    {"number": 1, "groups": [review(1, texts(1, 2))]},
    {"number": 2, "groups": [review(1, texts(1, 2))]},
    {"number": DEVICE, "groups": [review(1, texts(1, 2, 3, 4, 5))]},
    {"number": GRANT, "groups": [review(1, texts(1, 2, 3, 4))]},
    {
        "number": 5,
        "groups": [review(1, [*texts(1, 2, 3), {"number": 4, "kind": "integer"}, *texts(6)]), review(2, texts(5))],
    },
    {"number": SPACE_INFO, "groups": [review(1, texts(1, 2))]},
    {"number": REVOCATION, "groups": [review(1, texts(1, 2, 3, 4))]},
    {"number": ADOPTION, "groups": [review(1, texts(1, 2))]},
    {"number": ERASURE, "groups": [review(1, [{"number": 1, "kind": "integer"}, *texts(2)])]},
]
for own in SYSTEM:
    own["writers"] = ["admin"]


class Schema:
    def __init__(self, collections):
        self.collections = {collection["number"]: collection for collection in SYSTEM + collections}

    def knows(self, collection):
        return collection in self.collections

    def groups(self, collection):
        return self.collections[collection]["groups"] if self.knows(collection) else []

    def kind(self, collection, group):
        """The kind of a group, None where it is not known."""
        return next((known["kind"] for known in self.groups(collection) if known["number"] == group), None)

    def writers(self, collection, group):
        """The roles that may write a group, 0 for the record's life; all where it is not known."""
        declared = self.collections.get(collection)
        if declared is None:
            return ROLES
        default = declared.get("writers", WRITERS)
        if group == 0:
            return default
        known = next((one for one in declared["groups"] if one["number"] == group), None)
        return ROLES if known is None else known.get("writers", default)

    def machine(self, collection, group):
        """How a flow moves, None where the group is none that is known."""
        declared = next((known for known in self.groups(collection) if known["number"] == group), {})
        return Machine(declared["machine"]) if "machine" in declared else None

    def field(self, collection, number):
        """(group, kind) of a field, None where it is not known."""
        for group in self.groups(collection):
            for field in group["fields"]:
                if field["number"] == number:
                    return group["number"], field["kind"]
        return None

    def check(self, entry):
        """Refuses an entry that means something else here than its author says."""
        fields = [number for group, values in entry.registers.items() if group > 0 for number in values]
        require(len(set(fields)) == len(fields), "a field in two groups")
        for group in [*entry.registers, *entry.items]:
            kind = self.kind(entry.collection, group)
            require(kind is None or CLASSES[kind] == entry.merge_class(group), "a group of another class")
        for group, values in entry.registers.items():
            for number, value in values.items():
                known = self.field(entry.collection, number) if group > 0 else None
                if known is None:
                    continue
                require(known[0] == group, "a field of another group")
                require(value.tag in (NULL, TAGS[known[1]]), "a field of another kind")
