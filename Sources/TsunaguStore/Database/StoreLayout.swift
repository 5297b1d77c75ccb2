// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import TsunaguCore

/// The engine's own tables.
///
/// Typed tables (`resident`, `booking`, …) come from the schema, `SchemaTables`.
///
/// A shipped migration stays as it was and speaks SQL only.
enum StoreLayout {
    /// `PRAGMA application_id`: "TSNG".
    static let applicationID: Int32 = 0x5453_4e47
    /// `PRAGMA user_version`: the number of migrations applied.
    static let version = migrations.count

    static let migrations: [String] = [
        """
        -- Facts about this store: who it is, its clock, whom it trusts first.
        CREATE TABLE meta(
            key TEXT PRIMARY KEY NOT NULL,
            value NOT NULL
        ) WITHOUT ROWID;

        -- Spaces held here.
        CREATE TABLE space(
            no INTEGER PRIMARY KEY,             -- this store's number for it
            name TEXT NOT NULL UNIQUE,
            digest BLOB NOT NULL                -- 16 bytes, what the state adds up to
        );

        -- Replicas whose changes are here, by this store's number.
        CREATE TABLE author(
            no INTEGER PRIMARY KEY,
            replica BLOB NOT NULL UNIQUE        -- 24 bytes
        );

        -- Where each author's chain stands in each space: what was received.
        CREATE TABLE chain(
            space INTEGER NOT NULL,
            author INTEGER NOT NULL,
            seq INTEGER NOT NULL,               -- last number received
            state BLOB NOT NULL,                -- hash, stamp and deps there (ChainRecord)
            sealed INTEGER NOT NULL,            -- last number under a seal
            block INTEGER NOT NULL,             -- first number of the current block of salts
            PRIMARY KEY(space, author)
        ) WITHOUT ROWID;

        -- Records whose content is erased, by the receipts in the log.
        CREATE TABLE erased(
            space INTEGER NOT NULL,
            collection INTEGER NOT NULL,
            id BLOB NOT NULL,                   -- 16 bytes
            author INTEGER NOT NULL,            -- of the receipt
            seq INTEGER NOT NULL,
            counts INTEGER NOT NULL,            -- 1: its author is or was an admin, and the content is gone
            PRIMARY KEY(space, collection, id, author, seq)
        ) WITHOUT ROWID;

        -- Seeds of blocks: salts and the ids of created records come from them.
        CREATE TABLE seed(
            space INTEGER NOT NULL,
            author INTEGER NOT NULL,
            start INTEGER NOT NULL,             -- first number of the block
            seed BLOB NOT NULL,                 -- 16 bytes; none once an entry of the block is erased
            PRIMARY KEY(space, author, start)
        ) WITHOUT ROWID;

        -- The log: runs of changes as they travel, in an order that respects causality.
        CREATE TABLE run(
            no INTEGER PRIMARY KEY,
            space INTEGER NOT NULL,
            author INTEGER NOT NULL,
            first INTEGER NOT NULL,
            last INTEGER NOT NULL,              -- inclusive
            base BLOB NOT NULL,                 -- the chain before it (ChainRecord)
            signature BLOB,                     -- the seal over its last change; NULL until sealed
            body BLOB NOT NULL
        );
        CREATE UNIQUE INDEX run_by_author ON run(space, author, first);
        CREATE INDEX run_unsealed ON run(author) WHERE signature IS NULL;

        -- Ends of chains that are not in effect: no grant covers them, or a revocation cuts them off.
        CREATE TABLE withheld(
            space INTEGER NOT NULL,
            author INTEGER NOT NULL,
            first INTEGER NOT NULL,             -- this number and all after it
            PRIMARY KEY(space, author)
        ) WITHOUT ROWID;

        -- The first change of a chain that each role could not have written, by the schema's writers.
        CREATE TABLE barred(
            space INTEGER NOT NULL,
            author INTEGER NOT NULL,
            role TEXT NOT NULL,
            first INTEGER NOT NULL,
            PRIMARY KEY(space, author, role)
        ) WITHOUT ROWID;

        -- The signing keys that `system` ever told of, in effect or not: a device is named by its key.
        CREATE TABLE device_key(
            device BLOB PRIMARY KEY NOT NULL,   -- 16 bytes
            key BLOB NOT NULL                   -- 32 bytes
        ) WITHOUT ROWID;

        -- Changes that are parts of transactions over several spaces: which of them are in the log.
        CREATE TABLE part(
            txn BLOB NOT NULL,                  -- 16 bytes
            space INTEGER NOT NULL,
            author INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            PRIMARY KEY(txn, space, author)
        ) WITHOUT ROWID;

        -- Parts of transactions in runs that bear their author's seal and were refused: no other part waits for them.
        CREATE TABLE refused_part(
            replica BLOB NOT NULL,              -- 24 bytes; each device has a share
            txn BLOB NOT NULL,                  -- 16 bytes
            space INTEGER NOT NULL,
            PRIMARY KEY(replica, txn, space)
        ) WITHOUT ROWID;

        -- Runs whose causes are not here yet; bounded, taken up again when what they wait for came.
        CREATE TABLE holding(
            no INTEGER PRIMARY KEY,
            space TEXT NOT NULL,
            replica BLOB NOT NULL,
            first INTEGER NOT NULL,
            count INTEGER NOT NULL,
            signature BLOB NOT NULL,
            body BLOB NOT NULL,
            presenter BLOB NOT NULL,            -- the device that brought it: each has a share of its own
            cause INTEGER NOT NULL,             -- 0 a change, 1 the part of a transaction, …
            cause_space TEXT NOT NULL,          -- … in this space
            cause_replica BLOB NOT NULL,        -- … of this author's chain
            cause_seq INTEGER NOT NULL,         -- … at this number, or from it on
            UNIQUE(presenter, space, replica, first)
        );

        -- Bytes of a run that arrived in part: the cursor of an interrupted exchange.
        CREATE TABLE staged(
            presenter BLOB NOT NULL,            -- the device that brings it: each has a share of its own
            space TEXT NOT NULL,
            replica BLOB NOT NULL,
            start INTEGER NOT NULL,             -- place of these bytes: they follow those of the row before
            first INTEGER NOT NULL,
            total INTEGER NOT NULL,             -- length of the whole
            hash BLOB NOT NULL,                 -- SHA-256 of the whole
            bytes BLOB NOT NULL,
            PRIMARY KEY(presenter, space, replica, start)
        ) WITHOUT ROWID;

        -- Devices that this one exchanged with.
        CREATE TABLE peer(
            device BLOB PRIMARY KEY NOT NULL,
            met_at INTEGER NOT NULL,            -- Unix ms
            epoch BLOB                          -- 16 bytes: which copy of its store it last said that it is
        ) WITHOUT ROWID;

        -- How far other devices hold this log, in its rows.
        CREATE TABLE peer_space(
            device BLOB NOT NULL,
            space INTEGER NOT NULL,
            held INTEGER NOT NULL,              -- every run up to this one
            own INTEGER NOT NULL,               -- every run of this device up to this one
            proved_at INTEGER,                  -- Unix ms of the last proof of being the same
            PRIMARY KEY(device, space)
        ) WITHOUT ROWID;

        -- Where peers are.
        CREATE TABLE address(
            no INTEGER PRIMARY KEY,
            url TEXT NOT NULL UNIQUE,
            trust BLOB NOT NULL                 -- how, below our own authentication: 1 ‖ pin, 2, 3 or 4
        );

        -- Every record, with what is live of its registers.
        CREATE TABLE record(
            rid INTEGER PRIMARY KEY,            -- the key of its row in the typed table too
            id BLOB NOT NULL,                   -- 16 bytes
            space INTEGER NOT NULL,
            collection INTEGER NOT NULL,
            author INTEGER NOT NULL,            -- the change that brought it first …
            seq INTEGER NOT NULL,
            entry INTEGER NOT NULL,             -- … the entry's place in it, -1 where the id is explicit
            meta BLOB NOT NULL                  -- RecordMeta
        );
        CREATE UNIQUE INDEX record_by_id ON record(id, space, collection);

        -- Later changes that touched a record.
        CREATE TABLE history(
            rid INTEGER NOT NULL,
            author INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            PRIMARY KEY(rid, author, seq)
        ) WITHOUT ROWID;

        -- The maximal writes of groups on which sites differ; no row for any other group.
        CREATE TABLE sibling(
            rid INTEGER NOT NULL,
            grp INTEGER NOT NULL,
            author INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            head BLOB NOT NULL,                 -- GroupState.Head
            PRIMARY KEY(rid, grp, author, seq)
        ) WITHOUT ROWID;

        -- Live items of sets, logs, counters, ledgers and flows.
        CREATE TABLE item(
            rid INTEGER NOT NULL,
            grp INTEGER NOT NULL,
            author INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            idx INTEGER NOT NULL,               -- place in its change
            depth INTEGER NOT NULL,
            timestamp INTEGER NOT NULL,         -- hybrid logical clock
            leaf BLOB NOT NULL,                 -- 16 bytes of the commitment
            content BLOB NOT NULL,
            PRIMARY KEY(rid, grp, author, seq, idx)
        ) WITHOUT ROWID;

        -- Open conflicts: the inbox.
        CREATE TABLE conflict(
            rid INTEGER NOT NULL,
            grp INTEGER NOT NULL,               -- 0: an edit against a deletion
            id TEXT NOT NULL,                   -- 12 characters, the same at every site
            PRIMARY KEY(rid, grp)
        ) WITHOUT ROWID;
        CREATE INDEX conflict_by_id ON conflict(id);

        -- What this machine alone noticed, such as a clock that is far off.
        CREATE TABLE notice(
            no INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,                -- Unix ms
            code TEXT NOT NULL,
            detail TEXT NOT NULL,
            UNIQUE(code, detail)
        );

        -- What a peer would not take, or we not from it, with the reason.
        CREATE TABLE refusal(
            no INTEGER PRIMARY KEY,
            at INTEGER NOT NULL,
            peer TEXT NOT NULL,
            space TEXT NOT NULL,
            replica BLOB NOT NULL,
            first INTEGER NOT NULL,
            reason TEXT NOT NULL,
            here INTEGER NOT NULL,              -- 1: this side would not take it; 0: the peer would not
            UNIQUE(peer, space, replica, first, here)
        );
        """,
        """
        -- What a device last told of its copy, where `held` does not say it all: replica (24 bytes), seq (varint), …
        ALTER TABLE peer_space ADD COLUMN told BLOB;
        """,
        """
        -- Branches of chains that have two changes under one number: each is a chain of its own in `chain` and `run`.
        CREATE TABLE branch(
            author INTEGER PRIMARY KEY NOT NULL, -- the name that it is filed under
            space INTEGER NOT NULL,
            root INTEGER NOT NULL,              -- the author under whose name it is sealed
            parent INTEGER NOT NULL,            -- whose end it goes on from
            first INTEGER NOT NULL,             -- its first number
            main INTEGER NOT NULL               -- 1: what stood under its parent's name here before the fork was known
        ) WITHOUT ROWID;
        """,
    ]
}
