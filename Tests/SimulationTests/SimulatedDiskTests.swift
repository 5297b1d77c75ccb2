// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import GRDB
import Simulation
import TestSupport
import Testing
import TsunaguCore
import TsunaguStore

@Suite("Simulated disks")
struct SimulatedDiskTests {
    /// A store on a disk of its own, with its environment.
    private final class Machine {
        static let path = "/simulated/disk-tests"
        let name: String
        let disk: SimulatedDisk
        let environment: Store.Environment

        init(seed: UInt64, _ test: String = #function) {
            // Tests run side by side, and a mounted name is everybody's.
            name = "\(Self.path)/\(test.filter(\.isLetter))-\(seed)/"
            disk = SimulatedDisk(seed: seed)
            environment = SimulatedMachine(now: 1_800_000_000_000, disk: disk, seed: seed).environment
            SimulatedVFS.mount(disk, at: name)
        }

        deinit { SimulatedVFS.unmount(name) }

        var database: String { name + "ward.sqlite" }

        func create() throws -> Store {
            try Store.create(at: database, schema: TestSchema.v1, environment: environment)
        }

        func open() throws -> Store { try Store.open(at: database, schema: TestSchema.v1, environment: environment) }
    }

    private func write(_ store: Store, _ number: Int64) throws {
        try store.write { try $0.setMeta("number", .integer(number)) }
    }

    private func number(_ store: Store) throws -> Int64? { try store.read { try $0.meta("number")?.integer } }

    @Test(arguments: 0..<40 as Range<UInt64>)
    func `Whenever the power goes, what was committed is there, and the last commit is whole or not there`(
        seed: UInt64
    ) throws {
        let machine = Machine(seed: seed)
        let store = try machine.create()
        try write(store, 0)
        machine.disk.arm(.crash(after: Int(seed)))
        var acknowledged: Int64 = 0
        while machine.disk.isOn {
            guard (try? write(store, acknowledged + 1)) != nil else { break }
            acknowledged += 1
        }
        try? store.close()
        machine.disk.powerOn()
        let again = try machine.open()
        let found = try #require(try number(again))
        #expect(found == acknowledged || found == acknowledged + 1)
        #expect(try again.checkFile().faults.isEmpty)
        try write(again, 100)
        #expect(try number(again) == 100)
        try again.close()
    }

    @Test func `What was not synced is lost at times: a program that does not wait for the disk is found out`() throws {
        var lost = 0
        for seed in 0..<20 as Range<UInt64> {
            let machine = Machine(seed: seed)
            try machine.create().close()
            var configuration = Configuration()
            configuration.prepareDatabase { try $0.execute(sql: "PRAGMA synchronous = OFF") }
            let careless = try DatabaseQueue(path: machine.database, configuration: configuration)
            try careless.write { try $0.execute(sql: "INSERT INTO meta VALUES ('number', 1)") }
            machine.disk.powerOff()
            try? careless.close()
            machine.disk.powerOn()
            guard let store = try? machine.open(), (try? number(store)) == 1 else {
                lost += 1
                continue
            }
            try store.close()
        }
        #expect(lost > 0)
    }

    @Test func `A full disk refuses the write, loses nothing, and takes the next`() throws {
        let machine = Machine(seed: 1)
        let store = try machine.create()
        try write(store, 1)
        machine.disk.arm(.full(after: 0, writes: 1))
        #expect(throws: StoreError.self) { try write(store, 2) }
        #expect(machine.disk.counts.refusedWrites == 1)
        #expect(try number(store) == 1)
        try write(store, 3)
        #expect(try number(store) == 3)
        try store.close()
    }

    @Test func `A read error at opening is never taken for an empty store`() throws {
        for place in 0..<12 {
            let machine = Machine(seed: UInt64(place))
            let store = try machine.create()
            try write(store, 7)
            try store.close()
            machine.disk.arm(.readError(after: place))
            do {
                let again = try machine.open()
                let found = try number(again)
                #expect(found == 7)
                try again.close()
            } catch let error as StoreError {
                guard case .disk = error else { throw error }
            }
            machine.disk.disarm()
            let again = try machine.open()
            #expect(try number(again) == 7)
            try again.close()
        }
    }

    @Test func `A copy is another disk`() throws {
        let machine = Machine(seed: 5)
        let store = try machine.create()
        try write(store, 1)
        let copy = machine.disk.copy(seed: 6)
        try write(store, 2)
        try store.close()
        #expect(copy.exists(machine.database))
        SimulatedVFS.mount(copy, at: machine.name)
        let again = try machine.open()
        #expect(try number(again) == 1)
        try again.close()
    }
}
