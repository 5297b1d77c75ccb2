// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore
import TsunaguSync

/// A bundle on a disk or stick, as the device that it may be for reads it.
final class BundleFile {
    private let file: InputFile
    let path: String
    private let keys: DeviceKeys
    private let root: DeviceID?
    /// What stands before the bundle.
    let preface: [UInt8]

    /// Opens a file.
    ///
    /// - Parameter prefaceBytes: how much of it stands before the bundle.
    init(_ path: String, _ site: Site, prefaceBytes: Int = 0) throws {
        let file = try InputFile(path)
        // It is read twice: nothing is used before all of it was found to be whole.
        guard file.size != nil else {
            throw CommandError(
                .badInput,
                Localized(ja: "ふつうのファイルではありません: \(path)", en: "\(path) is no plain file"),
                record: path
            )
        }
        preface = try file.read(prefaceBytes)
        self.file = file
        self.path = path
        keys = site.keys
        root = try site.read { try $0.root() }
    }

    /// Hands over the pieces from the first on, each as its maker sealed it.
    ///
    /// - Parameter body: returns whether it wants more.
    /// - Throws: a `CommandError` for what is not whole, not for this device, or another ward's; `body` may have had
    ///   pieces by then.
    func forEachPiece(_ body: (BundlePiece) throws -> Bool) throws {
        try file.seek(to: preface.count)
        var reader = BundleReader(device: keys.device, receivingKey: keys.receiving)
        do {
            while !reader.isComplete {
                let piece = try reader.take(file.read(reader.wanted))
                if let piece {
                    // Told to those alone who can open it.
                    guard reader.ward == root else { throw CommandError.bundleOfAnotherWard(path) }
                    guard try body(piece) else { return }
                }
            }
        } catch let error as BundleError {
            throw CommandError(error, path)
        }
        guard try file.read(1).isEmpty else { throw CommandError(BundleError.damaged("something after the end"), path) }
    }
}

extension CommandError {
    fileprivate static func bundleOfAnotherWard(_ path: String) -> CommandError {
        CommandError(
            .notPermitted,
            Localized(ja: "別の自治体のバンドルです: \(path)", en: "\(path) is another ward's bundle"),
            record: path
        )
    }

    init(_ error: BundleError, _ path: String) {
        let again = Localized(ja: "もう一度写すか、送り主に作り直してもらってください", en: "copy it again, or let its sender make it anew")
        switch error {
        case .noBundle:
            self.init(
                .badInput,
                Localized(ja: "バンドルではありません: \(path)", en: "\(path) is no bundle"),
                record: path,
                hint: Localized(ja: "ファイルの名前を確かめてください", en: "check the file's name")
            )
        case .unknownVersion(let version):
            self.init(
                .badInput,
                Localized(
                    ja: "この版のプログラムが読めない形式（版 \(version)）のバンドルです: \(path)",
                    en: "\(path) is a bundle of version \(version), which this program does not read"
                ),
                record: path,
                hint: Localized(ja: "双方の tsunagu を同じ版にしてください", en: "update tsunagu at both sites")
            )
        case .forOthers:
            self.init(
                .notPermitted,
                Localized(ja: "ほかの端末あてのバンドルです: \(path)", en: "\(path) is for another device"),
                record: path,
                hint: Localized(ja: "あて先の拠点で開いてください", en: "open it at the site that it is for")
            )
        case .damaged(let detail):
            self.init(
                .badInput,
                Localized(
                    ja: "バンドルが途中で切れているか、壊れています（何も取り込んでいません）: \(path): \(detail)",
                    en: "\(path) was cut off or altered, and nothing of it was taken: \(detail)"
                ),
                record: path,
                hint: again
            )
        case .malformed(let detail):
            self.init(
                .badInput,
                Localized(
                    ja: "バンドルの中身が形式に合いません（何も取り込んでいません）: \(path): \(detail)",
                    en: "\(path) has a content that the format does not allow, and nothing of it was taken: \(detail)"
                ),
                record: path,
                hint: again
            )
        }
    }
}
