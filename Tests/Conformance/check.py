#!/usr/bin/python3
# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""Reads vectors and compares what they come to with what they say: see README.md."""

import json
import sys
from pathlib import Path

import bundle
from changes import Envelope
from digest import digest
from replica import Replica
from schema import Schema


def envelope(run):
    return Envelope(
        run["space"], bytes.fromhex(run["replica"]), run["first"], run["count"],
        bytes.fromhex(run["seal"]), bytes.fromhex(run["body"]),
    )  # fmt: skip


def reader(vector):
    return Replica(Schema(vector["collections"]), bytes.fromhex(vector["rootSigningKey"]))


class Report:
    """What was compared, and what differs."""

    def __init__(self):
        self.compared = 0
        self.differences = []

    def same(self, what, found, expected):
        self.compared += 1
        if found != expected:
            self.differences.append(f"{what}: found {found}, expected {expected}")


def compare(replica, vector, report, order):
    """Everything that the vector says of the state after all its runs."""
    for name, expected in vector["spaces"].items():
        where = f"{name}, {order}"
        found = [
            {"replica": author.hex(), "seq": chain.seq, "headerHash": chain.hash.hex()}
            for author, chain in sorted(replica.space(name).chains.items())
        ]
        report.same(f"{where}: vector", found, expected["vector"])
        found = [{"replica": r.hex(), "first": first, "last": last} for r, first, last in replica.exceptions(name)]
        report.same(f"{where}: exceptions", found, expected["exceptions"])
        records = replica.records(name)
        report.same(f"{where}: digest", digest(records.values()).hex(), expected["digest"])
        conflicts = sorted(one for record in records.values() for one in record.conflicts(replica.schema))
        report.same(f"{where}: conflicts", conflicts, expected["conflicts"])
        found = {
            (collection, identity.hex()): (record.is_deleted, record.shown(replica.schema))
            for (collection, identity), record in records.items()
            if replica.schema.knows(collection)
        }
        stated = {(r["collection"], r["id"]): (r["deleted"], r["fields"]) for r in expected["records"]}
        for key in sorted(found.keys() | stated.keys()):
            report.same(f"{where}: record {key[0]}/{key[1]}", found.get(key), stated.get(key))


def check(vector, report):
    """All runs in the order of the file, then in the opposite order: the state is the same."""
    envelopes = [envelope(run) for run in vector["runs"]]

    replica = reader(vector)
    for number, run in enumerate(vector["runs"]):
        report.same(f"run {number}: receipt", replica.receive(envelopes[number]), run["receipt"])
    for number, run in enumerate(vector["runs"]):
        last = replica.space(run["space"]).changes.get((envelopes[number].replica, envelopes[number].last))
        report.same(f"run {number}: header hash", last and last.hash.hex(), run.get("headerHash"))
    compare(replica, vector, report, "in order")

    replica = reader(vector)
    while "applied" in [replica.receive(one) for one in reversed(envelopes)]:
        pass
    compare(replica, vector, report, "in the opposite order")


def check_refusals(vector, accepted, report):
    """Each case on its own: some of the accepted runs, those to be refused, and then the other accepted ones."""
    for case in vector["cases"]:
        replica = reader(accepted)
        runs = accepted["runs"][: case["after"]] + case["runs"] + accepted["runs"][case["after"] :]
        for run in runs:
            report.same(case["because"], replica.receive(envelope(run)), run["receipt"])


def check_bundles(vector, report):
    """What a device opens, and what it refuses."""
    device, key = bytes.fromhex(vector["device"]), bytes.fromhex(vector["receivingKey"])
    for case in vector["bundles"]:
        try:
            found = bundle.stated(bundle.read_bundle(bytes.fromhex(case["bytes"]), device, key))
        except bundle.Refused as refused:
            found = str(refused)
        report.same(case["because"], found, case.get("content") or case.get("refused"))


def main(paths):
    failed = False
    for path in map(Path, paths):
        vector = json.loads(path.read_text())
        report = Report()
        if "bundles" in vector:
            check_bundles(vector, report)
        elif "cases" in vector:
            accepted = json.loads((path.parent / vector["accepted"]).read_text())
            check_refusals(vector, accepted, report)
        else:
            check(vector, report)
        for difference in report.differences:
            print(f"{path}: {difference}")
        failed = failed or bool(report.differences) or report.compared == 0
        print(f"{path}: {report.compared} compared, {len(report.differences)} differ")
    return 1 if failed else 0


if __name__ == "__main__":
    default = sorted((Path(__file__).parents[2] / "Protocol" / "vectors").glob("*/*.json"))
    sys.exit(main(sys.argv[1:] or default))
