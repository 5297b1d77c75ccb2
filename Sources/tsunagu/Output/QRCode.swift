// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// A QR code (ISO/IEC 18004) of capital letters, digits and a few signs, which is what an invitation needs.
///
/// Alphanumeric mode, error correction level M (about 15 % may be lost), versions 1 to 20.
struct QRCode {
    /// Modules along one side.
    let size: Int
    private var dark: [Bool]
    /// Modules that mean something other than data: masks leave them alone.
    private var fixed: [Bool]

    private static let alphabet = Array("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:".utf8)
    /// Of each version: correction bytes in a block, and blocks.
    private static let correction = [
        (10, 1), (16, 1), (26, 1), (18, 2), (24, 2), (16, 4), (18, 4), (22, 4), (22, 5), (26, 5), (30, 5), (22, 8),
        (22, 9),
        (24, 9), (24, 10), (28, 10), (28, 11), (26, 13), (26, 14), (26, 16),
    ]

    /// The smallest code that holds the text; `nil` where a character is outside the alphabet or the text is too long.
    init?(_ text: String) {
        let values = text.utf8.map { Self.alphabet.firstIndex(of: $0) }
        guard values.allSatisfy({ $0 != nil }) else { return nil }
        let version = (1...20).first { version in
            4 + (version < 10 ? 9 : 11) + (values.count * 11 + 1) / 2 <= 8 * Self.dataBytes(version)
        }
        guard let version else { return nil }
        size = 17 + 4 * version
        dark = Array(repeating: false, count: size * size)
        fixed = dark
        drawPatterns(version)
        place(Self.codewords(values.map { $0! }, version))
        chooseMask()
    }

    subscript(x: Int, y: Int) -> Bool { dark[y * size + x] }

    // MARK: - Bytes

    /// Modules that are neither pattern nor format, in whole bytes.
    private static func allBytes(_ version: Int) -> Int {
        let side = 17 + 4 * version
        let marks = alignment(version).count
        // Finders with their margins, timing, format, and the module that is always dark.
        var modules = side * side - 3 * 64 - 2 * (side - 16) - 31
        // Alignment marks; those on a timing line share five modules with it.
        if marks > 0 { modules -= 25 * (marks * marks - 3) - 10 * (marks - 2) }
        if version >= 7 { modules -= 36 }
        return modules / 8
    }

    private static func dataBytes(_ version: Int) -> Int {
        let (bytes, blocks) = correction[version - 1]
        return allBytes(version) - bytes * blocks
    }

    private static func codewords(_ values: [Int], _ version: Int) -> [UInt8] {
        var bits: [Bool] = []
        func append(_ value: Int, _ count: Int) {
            for bit in (0..<count).reversed() { bits.append(value >> bit & 1 == 1) }
        }
        append(0b0010, 4)
        append(values.count, version < 10 ? 9 : 11)
        for start in stride(from: 0, to: values.count, by: 2) {
            if start + 1 < values.count {
                append(values[start] * 45 + values[start + 1], 11)
            } else {
                append(values[start], 6)
            }
        }
        let capacity = 8 * dataBytes(version)
        append(0, min(4, capacity - bits.count))
        while bits.count % 8 != 0 { bits.append(false) }
        var pad = 0
        while bits.count < capacity {
            append(pad % 2 == 0 ? 0xEC : 0x11, 8)
            pad += 1
        }
        let data = stride(from: 0, to: bits.count, by: 8).map { start in
            bits[start..<start + 8].reduce(UInt8(0)) { $0 << 1 | ($1 ? 1 : 0) }
        }
        return interleaved(data, version)
    }

    /// Blocks with their correction bytes, one byte of each in turn; the last blocks are one byte longer where it does
    /// not come out even.
    private static func interleaved(_ data: [UInt8], _ version: Int) -> [UInt8] {
        let (correctionBytes, blockCount) = correction[version - 1]
        let short = data.count / blockCount
        let firstLong = blockCount - data.count % blockCount
        var blocks: [ArraySlice<UInt8>] = []
        var start = 0
        for block in 0..<blockCount {
            let end = start + short + (block >= firstLong ? 1 : 0)
            blocks.append(data[start..<end])
            start = end
        }
        let corrections = blocks.map { Field256.remainder(of: $0, count: correctionBytes) }
        var out: [UInt8] = []
        for index in 0...short {
            for block in blocks where index < block.count { out.append(block[block.startIndex + index]) }
        }
        for index in 0..<correctionBytes { for bytes in corrections { out.append(bytes[index]) } }
        return out
    }

    // MARK: - Modules

    private mutating func set(_ x: Int, _ y: Int, _ isDark: Bool) {
        guard (0..<size).contains(x), (0..<size).contains(y) else { return }
        dark[y * size + x] = isDark
        fixed[y * size + x] = true
    }

    private static func alignment(_ version: Int) -> [Int] {
        guard version > 1 else { return [] }
        let count = version / 7 + 2
        let last = 10 + 4 * version
        // Even steps from the far end; what is left over lies behind the first mark.
        let step = ((last - 6) + (count - 1) * 2 - 1) / ((count - 1) * 2) * 2
        return [6] + (0..<count - 1).reversed().map { last - $0 * step }
    }

    private mutating func drawPatterns(_ version: Int) {
        for index in 0..<size {
            set(6, index, index % 2 == 0)
            set(index, 6, index % 2 == 0)
        }
        for (x, y) in [(3, 3), (size - 4, 3), (3, size - 4)] {
            for dy in -4...4 { for dx in -4...4 { set(x + dx, y + dy, ![2, 4].contains(max(abs(dx), abs(dy)))) } }
        }
        let marks = Self.alignment(version)
        for x in marks {
            for y in marks where !(x == 6 && (y == 6 || y == size - 7)) && !(y == 6 && x == size - 7) {
                for dy in -2...2 { for dx in -2...2 { set(x + dx, y + dy, max(abs(dx), abs(dy)) != 1) } }
            }
        }
        drawFormat(mask: 0)
        guard version >= 7 else { return }
        let bits = version << 12 | Self.remainder(version, generator: 0x1F25, bits: 12)
        for index in 0..<18 {
            let isDark = bits >> index & 1 == 1
            set(size - 11 + index % 3, index / 3, isDark)
            set(index / 3, size - 11 + index % 3, isDark)
        }
    }

    /// Level M and the mask, twice.
    private mutating func drawFormat(mask: Int) {
        let bits = (mask << 10 | Self.remainder(mask, generator: 0x537, bits: 10)) ^ 0x5412
        func bit(_ index: Int) -> Bool { bits >> index & 1 == 1 }
        for index in 0..<6 { set(8, index, bit(index)) }
        set(8, 7, bit(6))
        set(8, 8, bit(7))
        set(7, 8, bit(8))
        for index in 9..<15 { set(14 - index, 8, bit(index)) }
        for index in 0..<8 { set(size - 1 - index, 8, bit(index)) }
        for index in 8..<15 { set(8, size - 15 + index, bit(index)) }
        set(8, size - 8, true)
    }

    /// The remainder of a polynomial over GF(2), by which format and version are protected.
    private static func remainder(_ value: Int, generator: Int, bits: Int) -> Int {
        var rest = value
        for _ in 0..<bits { rest = rest << 1 ^ (rest >> (bits - 1) & 1) * generator }
        return rest
    }

    /// Two columns at a time from the right, up and down in turn, around what is fixed.
    private mutating func place(_ bytes: [UInt8]) {
        var bit = 0
        var isUpward = true
        for pair in stride(from: size - 1, to: 0, by: -2) {
            let right = pair <= 6 ? pair - 1 : pair
            for step in 0..<size {
                let y = isUpward ? size - 1 - step : step
                for x in [right, right - 1] where !fixed[y * size + x] && bit < 8 * bytes.count {
                    dark[y * size + x] = bytes[bit / 8] >> UInt8(7 - bit % 8) & 1 == 1
                    bit += 1
                }
            }
            isUpward.toggle()
        }
    }

    // MARK: - Masks

    private mutating func chooseMask() {
        let best = (0..<8).map { mask in (mask, masked(mask)) }.min { $0.1.penalty < $1.1.penalty }!
        self = best.1
    }

    private func masked(_ mask: Int) -> QRCode {
        var out = self
        for y in 0..<size {
            for x in 0..<size where !fixed[y * size + x] {
                let flips =
                    switch mask {
                    case 0: (x + y) % 2 == 0
                    case 1: y % 2 == 0
                    case 2: x % 3 == 0
                    case 3: (x + y) % 3 == 0
                    case 4: (x / 3 + y / 2) % 2 == 0
                    case 5: x * y % 2 + x * y % 3 == 0
                    case 6: (x * y % 2 + x * y % 3) % 2 == 0
                    default: ((x + y) % 2 + x * y % 3) % 2 == 0
                    }
                if flips { out.dark[y * size + x].toggle() }
            }
        }
        out.drawFormat(mask: mask)
        return out
    }

    /// How hard the code is to read: long runs, blocks of one colour, what looks like a finder, uneven colours.
    private var penalty: Int {
        var sum = 0
        for line in 0..<size {
            sum += Self.penalty((0..<size).map { self[$0, line] }) + Self.penalty((0..<size).map { self[line, $0] })
        }
        for y in 1..<size {
            for x in 1..<size
            where self[x, y] == self[x - 1, y] && self[x, y] == self[x, y - 1] && self[x, y] == self[x - 1, y - 1] {
                sum += 3
            }
        }
        let share = dark.count { $0 } * 20 / dark.count
        return sum + abs(share - 10) * 10
    }

    private static func penalty(_ line: [Bool]) -> Int {
        var sum = 0
        var start = 0
        while start < line.count {
            let end = line[start...].firstIndex { $0 != line[start] } ?? line.count
            if end - start >= 5 { sum += end - start - 2 }
            start = end
        }
        let finder = [true, false, true, true, true, false, true]
        let margin = [false, false, false, false]
        for start in 0...(line.count - 11) {
            let part = line[start..<start + 11]
            if part.elementsEqual(finder + margin) || part.elementsEqual(margin + finder) { sum += 40 }
        }
        return sum
    }
}

extension QRCode {
    /// The code for a terminal, black on white whatever its colours, two rows of modules a line.
    var terminalText: String {
        let margin = 4
        var out = ""
        for y in stride(from: -margin, to: size + margin, by: 2) {
            out += "\u{1b}[30;107m"
            for x in -margin..<size + margin {
                switch (isDark(x, y), isDark(x, y + 1)) {
                case (true, true): out += "█"
                case (true, false): out += "▀"
                case (false, true): out += "▄"
                case (false, false): out += " "
                }
            }
            out += "\u{1b}[0m\n"
        }
        return out
    }

    private func isDark(_ x: Int, _ y: Int) -> Bool {
        (0..<size).contains(x) && (0..<size).contains(y) && self[x, y]
    }
}

/// The field of 256 elements in which correction bytes are worked out; its polynomial is x⁸ + x⁴ + x³ + x² + 1.
private enum Field256 {
    static func product(_ a: UInt8, _ b: UInt8) -> UInt8 {
        var out: UInt8 = 0
        for bit in (0..<8).reversed() {
            out = out << 1 ^ (out >> 7) &* 0x1D
            if b >> UInt8(bit) & 1 == 1 { out ^= a }
        }
        return out
    }

    /// The Reed–Solomon remainder of a block.
    static func remainder(of data: some Sequence<UInt8>, count: Int) -> [UInt8] {
        // (x - 1)(x - 2)(x - 4)…, without the leading 1.
        var generator = [UInt8](repeating: 0, count: count - 1) + [1]
        var root: UInt8 = 1
        for _ in 0..<count {
            for index in 0..<count {
                generator[index] = product(generator[index], root)
                if index + 1 < count { generator[index] ^= generator[index + 1] }
            }
            root = product(root, 2)
        }
        var rest = [UInt8](repeating: 0, count: count)
        for byte in data {
            let factor = byte ^ rest.removeFirst()
            rest.append(0)
            for index in 0..<count { rest[index] ^= product(generator[index], factor) }
        }
        return rest
    }
}
