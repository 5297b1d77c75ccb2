// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import Crypto
import CryptoExtras
import TsunaguCore
import TsunaguSync

/// The files of a site in one, sealed under a passphrase (`Protocol/backup.md`).
///
///     header = "TSBK" ‖ u8 version ‖ u8 log₂ N ‖ u8 r ‖ u8 p ‖ salt (16)
///     piece  = u32 length ‖ ChaCha20-Poly1305(scrypt(passphrase, salt, N, r, p), nonce: number of the piece, header, content)
///     content = 1 ‖ text name | 2 ‖ bytes of that file | 3
///
/// The last piece is a 3, so that a file that was cut off is told from a whole one.
package enum BackupFile {
    static let magic = Array("TSBK".utf8)
    private static let version: UInt8 = 1
    private static let headerBytes = 4 + 1 + 3 + 16
    /// 64 MiB, and some tenths of a second: what each guess at the passphrase costs.
    private static let cost: (logN: UInt8, r: UInt8, p: UInt8) = (16, 8, 1)
    private static let pieceBytesMax = 1 << 20

    enum Piece {
        case file(String)
        case bytes([UInt8])
        case end
    }

    /// Writes a backup, piece by piece.
    struct Writer {
        private let output: OutputFile
        private let header: [UInt8]
        private let key: SymmetricKey
        private var counter: UInt64 = 0

        init(_ output: OutputFile, passphrase: [UInt8], salt: Bytes16) throws {
            self.output = output
            header = BackupFile.magic + [BackupFile.version, cost.logN, cost.r, cost.p] + salt.bytes
            key = try BackupFile.key(passphrase, header)
            try output.write(header)
        }

        mutating func append(_ piece: Piece) throws {
            let content: [UInt8] =
                switch piece {
                case .file(let name): [1] + Array(name.utf8)
                case .bytes(let bytes): [2] + bytes
                case .end: [3]
                }
            let sealed = try Bundle.seal(content, counter, key, header: header)
            counter += 1
            try output.write((0..<4).map { UInt8(truncatingIfNeeded: sealed.count >> (24 - 8 * $0)) } + sealed)
        }

        /// Appends a whole file of the machine.
        mutating func append(_ name: String, from path: String) throws {
            try append(.file(name))
            let file = try InputFile(path)
            while true {
                let bytes = try file.read(BackupFile.pieceBytesMax)
                if bytes.isEmpty { return }
                try append(.bytes(bytes))
            }
        }
    }

    /// Hands over the pieces of a backup, each as it was sealed, up to the end.
    ///
    /// - Throws: 65 for what is no backup, was cut off or altered, and 77 for another passphrase.
    static func read(_ path: String, passphrase: [UInt8], _ body: (Piece) throws -> Void) throws {
        let file = try InputFile(path)
        let header = try file.read(headerBytes)
        guard header.count == headerBytes, header.starts(with: magic) else {
            throw CommandError(
                .badInput,
                Localized(ja: "控えのファイルではありません: \(path)", en: "\(path) is no backup"),
                record: path,
                hint: Localized(ja: "tsunagu backup で作ったファイルを指定してください", en: "name a file that 'tsunagu backup' made")
            )
        }
        // What a stranger's file may cost is bounded before it is believed.
        guard header[4] == version, 14...20 ~= header[5], header[6] == 8, 1...4 ~= header[7] else {
            throw CommandError(
                .badInput,
                Localized(ja: "この版では読めない控えです: \(path)", en: "\(path) is of a form that this program does not read"),
                record: path,
                hint: Localized(ja: "新しい tsunagu を使ってください", en: "use a newer tsunagu")
            )
        }
        let key = try key(passphrase, header)
        var counter: UInt64 = 0
        while true {
            let length = try file.read(4)
            let count = length.reduce(0) { $0 << 8 | Int($1) }
            guard length.count == 4, 17...pieceBytesMax + 64 ~= count else { throw damaged(path) }
            let sealed = try file.read(count)
            guard sealed.count == count else { throw damaged(path) }
            guard let content = try? Bundle.open(sealed, counter, key, header: header) else {
                throw counter == 0 ? wrongPassphrase(path) : damaged(path)
            }
            counter += 1
            switch content.first {
            case 1: try body(.file(String(decoding: content.dropFirst(), as: UTF8.self)))
            case 2: try body(.bytes(Array(content.dropFirst())))
            case 3:
                guard try file.read(1).isEmpty else { throw damaged(path) }
                return try body(.end)
            default: throw damaged(path)
            }
        }
    }

    /// The key that a passphrase and a file's header give.
    package static func key(_ passphrase: [UInt8], _ header: [UInt8]) throws -> SymmetricKey {
        try KDF.Scrypt.deriveKey(
            from: passphrase,
            salt: Array(header.suffix(16)),
            outputByteCount: 32,
            rounds: 1 << Int(header[5]),
            blockSize: Int(header[6]),
            parallelism: Int(header[7])
        )
    }

    private static func damaged(_ path: String) -> CommandError {
        CommandError(
            .badInput,
            Localized(
                ja: "控えが途中で切れているか、壊れています: \(path)",
                en: "\(path) was cut off or altered"
            ),
            record: path,
            hint: Localized(ja: "ほかの控えを使ってください", en: "use another backup")
        )
    }

    private static func wrongPassphrase(_ path: String) -> CommandError {
        CommandError(
            .notPermitted,
            Localized(ja: "合言葉が違います: \(path)", en: "the passphrase does not open \(path)"),
            record: path
        )
    }
}
