// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TestSupport
package import TsunaguStore

/// A machine's disk in memory.
///
/// What was written and not synced is lost when the power goes, in part and out of order, sector by sector; names are
/// kept from the moment that they are given.
///
/// A ward is one thread, and two wards share no disk: nothing here is locked.
package final class SimulatedDisk: StoreFiles, @unchecked Sendable {
    /// What breaks, once, when so many operations have been done.
    package enum Fault: Hashable, Sendable {
        /// The power goes at the n-th write, truncation, sync or removal from now.
        case crash(after: Int)
        /// The disk is full from the n-th growing write on, for some writes.
        case full(after: Int, writes: Int)
        /// The n-th read from now fails.
        case readError(after: Int)
    }

    /// The smallest piece that a disk writes as one, bytes.
    static let sectorBytes = 512

    fileprivate struct Write {
        let offset: Int
        /// `nil` is a truncation to `offset`.
        let bytes: [UInt8]?
    }

    /// A file: what a reader sees, and what would be left of it now.
    fileprivate final class File {
        var content: [UInt8] = []
        var durable: [UInt8] = []
        var pending: [Write] = []
        /// Shared memory beside the file, gone with the power.
        var regions: [UnsafeMutableRawPointer] = []

        func perform(_ write: Write) {
            File.perform(write, on: &content)
            pending.append(write)
        }

        private static func perform(_ write: Write, on bytes: inout [UInt8]) {
            guard let new = write.bytes else {
                if write.offset < bytes.count { bytes.removeSubrange(write.offset...) }
                return
            }
            let end = write.offset + new.count
            if bytes.count < end { bytes += [UInt8](repeating: 0, count: end - bytes.count) }
            bytes.replaceSubrange(write.offset..<end, with: new)
        }

        func sync() {
            for write in pending { File.perform(write, on: &durable) }
            pending = []
        }

        /// Keeps of what was not synced what chance lets through.
        func losePower(_ generator: inout SeededGenerator) -> Int {
            var torn = 0
            for write in pending {
                switch generator.below(4) {
                case 0: continue
                case 1:
                    guard let bytes = write.bytes else { continue }
                    torn += 1
                    for start in stride(from: 0, to: bytes.count, by: SimulatedDisk.sectorBytes)
                    where generator.chance(50) {
                        let piece = Array(bytes[start..<min(bytes.count, start + SimulatedDisk.sectorBytes)])
                        File.perform(Write(offset: write.offset + start, bytes: piece), on: &durable)
                    }
                default: File.perform(write, on: &durable)
                }
            }
            pending = []
            content = durable
            return torn
        }

        func freeRegions() {
            for region in regions { region.deallocate() }
            regions = []
        }

        deinit { freeRegions() }
    }

    fileprivate struct State {
        var files: [String: File] = [:]
        var generator: SeededGenerator
        var isOn = true
        /// Rises with each loss of power: what was open before is closed for good.
        var boots = 0
        var crashIn: Int?
        var fullIn: Int?
        var fullFor = 0
        var readErrorIn: Int?
        var counts = Counts()
    }

    /// What happened so far.
    package struct Counts: Sendable {
        package var crashes = 0
        package var tornWrites = 0
        package var refusedWrites = 0
        package var failedReads = 0

        /// All but the writes that a crash tore.
        package var sum: Int { crashes + refusedWrites + failedReads }

        mutating func add(_ other: Counts) {
            crashes += other.crashes
            tornWrites += other.tornWrites
            refusedWrites += other.refusedWrites
            failedReads += other.failedReads
        }
    }

    /// A file that a process has open.
    final class Handle {
        fileprivate let file: File
        fileprivate let boots: Int

        fileprivate init(_ file: File, boots: Int) {
            self.file = file
            self.boots = boots
        }
    }

    /// Why the disk did not do it.
    enum Failure: Error { case off, full, readError, missing }

    private var state: State

    package init(seed: UInt64) { state = State(generator: SeededGenerator(seed: seed)) }

    /// Another disk with what is on this one; what is not synced counts as written.
    package func copy(seed: UInt64) -> SimulatedDisk {
        let other = SimulatedDisk(seed: seed)
        for (name, file) in state.files {
            let twin = File()
            (twin.content, twin.durable) = (file.content, file.content)
            other.state.files[name] = twin
        }
        return other
    }

    /// Puts back what another disk holds: a snapshot of a virtual machine, or its files from a backup.
    ///
    /// Whoever used the disk before must be gone.
    package func restore(_ image: SimulatedDisk) {
        state.boots += 1
        state.files = image.copy(seed: 0).state.files
        disarm()
    }

    /// Sets what breaks next; a fault of the same kind is replaced.
    package func arm(_ fault: Fault) {
        switch fault {
        case .crash(let count): state.crashIn = count
        case .full(let count, let writes): (state.fullIn, state.fullFor) = (count, writes)
        case .readError(let count): state.readErrorIn = count
        }
    }

    /// Whatever was to break does not any more.
    package func disarm() {
        (state.crashIn, state.fullIn, state.fullFor, state.readErrorIn) = (nil, nil, 0, nil)
    }

    package var isOn: Bool { state.isOn }

    package var counts: Counts { state.counts }

    /// Cuts the power now.
    package func powerOff() { state.losePower() }

    /// Gives power again; whoever used the disk before must be gone.
    package func powerOn() {
        state.isOn = true
        // Not before now: whoever had a file open when the power went still looked at them.
        for file in state.files.values { file.freeRegions() }
        disarm()
    }

    // MARK: - What SQLite asks

    func open(_ path: String, creating: Bool) throws(Failure) -> Handle {
        guard state.isOn else { throw .off }
        if state.files[path] == nil {
            guard creating else { throw .missing }
            state.files[path] = File()
        }
        return Handle(state.files[path]!, boots: state.boots)
    }

    func read(_ handle: Handle, _ buffer: UnsafeMutableRawBufferPointer, at offset: Int) throws(Failure) -> Int {
        try state.check(handle)
        if let left = state.readErrorIn {
            state.readErrorIn = left > 0 ? left - 1 : nil
            if left == 0 {
                state.counts.failedReads += 1
                throw .readError
            }
        }
        let content = handle.file.content
        let count = max(0, min(buffer.count, content.count - offset))
        content.withUnsafeBytes { bytes in
            guard count > 0 else { return }
            buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + count]))
        }
        return count
    }

    func write(_ handle: Handle, _ bytes: UnsafeRawBufferPointer, at offset: Int) throws(Failure) {
        let bytes = Array(bytes)
        try state.check(handle)
        let write = Write(offset: offset, bytes: bytes)
        if state.isTimeToCrash() {
            // The write under way may get through in part like the others.
            handle.file.perform(write)
            state.losePower()
            throw .off
        }
        if offset + bytes.count > handle.file.content.count, try state.isFull() { throw .full }
        handle.file.perform(write)
    }

    func truncate(_ handle: Handle, to size: Int) throws(Failure) {
        try state.check(handle)
        if state.isTimeToCrash() {
            state.losePower()
            throw .off
        }
        handle.file.perform(Write(offset: size, bytes: nil))
    }

    func sync(_ handle: Handle) throws(Failure) {
        try state.check(handle)
        if state.isTimeToCrash() {
            state.losePower()
            throw .off
        }
        handle.file.sync()
    }

    func size(_ handle: Handle) throws(Failure) -> Int {
        try state.check(handle)
        return handle.file.content.count
    }

    /// A piece of the shared memory beside a file; `nil` where it is not there yet and not to be made.
    func region(_ handle: Handle, _ index: Int, bytes: Int, making: Bool) throws(Failure) -> UnsafeMutableRawPointer? {
        try state.check(handle)
        while making, handle.file.regions.count <= index {
            let new = UnsafeMutableRawPointer.allocate(byteCount: bytes, alignment: 16)
            new.initializeMemory(as: UInt8.self, repeating: 0, count: bytes)
            handle.file.regions.append(new)
        }
        return index < handle.file.regions.count ? handle.file.regions[index] : nil
    }

    func dropRegions(_ handle: Handle) {
        if state.isOn, state.boots == handle.boots { handle.file.freeRegions() }
    }

    func delete(_ path: String) throws(Failure) {
        guard state.isOn else { throw .off }
        guard state.files[path] != nil else { throw .missing }
        if state.isTimeToCrash() {
            state.losePower()
            throw .off
        }
        state.files[path] = nil
    }

    // MARK: - StoreFiles

    package func create(_ path: String) throws(StoreError) {
        guard state.isOn else { throw .disk("\(path): no power") }
        guard state.files[path] == nil else { throw .exists(path: path) }
        state.files[path] = File()
    }

    package func head(of path: String, _ count: Int) throws(StoreError) -> (bytes: [UInt8], size: Int) {
        guard state.isOn else { throw .disk("\(path): no power") }
        guard let content = state.files[path]?.content else { throw .missing(path: path) }
        return (Array(content.prefix(count)), content.count)
    }

    package func exists(_ path: String) -> Bool { state.files[path] != nil }

    package func remove(_ path: String) {
        if state.isOn { state.files[path] = nil }
    }

    package func rename(_ old: String, to new: String) throws(StoreError) {
        guard state.isOn, let file = state.files.removeValue(forKey: old) else {
            throw .disk("\(new): cannot be renamed")
        }
        state.files[new] = file
    }
}

extension SimulatedDisk.State {
    fileprivate func check(_ handle: SimulatedDisk.Handle) throws(SimulatedDisk.Failure) {
        guard isOn, handle.boots == boots else { throw .off }
    }

    fileprivate mutating func isTimeToCrash() -> Bool {
        guard let left = crashIn else { return false }
        crashIn = left > 0 ? left - 1 : nil
        return left == 0
    }

    fileprivate mutating func isFull() throws(SimulatedDisk.Failure) -> Bool {
        guard let left = fullIn else { return false }
        guard left == 0 else {
            fullIn = left - 1
            return false
        }
        fullFor -= 1
        if fullFor <= 0 { fullIn = nil }
        counts.refusedWrites += 1
        return true
    }

    fileprivate mutating func losePower() {
        guard isOn else { return }
        isOn = false
        boots += 1
        counts.crashes += 1
        // In the order of their names, or one seed would not be one run.
        for name in files.keys.sorted() { counts.tornWrites += files[name]!.losePower(&generator) }
    }
}
