// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import CCurl

#if canImport(Glibc)
    import Glibc
#endif

/// One post under way: what libcurl's callbacks see of it.
///
/// Lives for the length of one ``HTTPCarrier/post``.
final class HTTPTransfer {
    /// All headers of one answer together, interim answers included.
    ///
    /// Ours have some 200 bytes; a proxy may add its own.
    static let headerBytesMax = 64 << 10
    /// Of the body of an answer that is not a success: enough for a reason, too little to fill the memory.
    static let refusalBytesMax = 64 << 10

    /// What the caller is to be told instead of libcurl's own reason.
    private(set) var failure: (any Error)?
    private(set) var bytesReceived = 0
    private(set) var headerBytes = 0
    /// False when the connection ended within the head, which libcurl 7.88 takes for an answer without a body.
    private(set) var isHeadComplete = false
    private(set) var refusal: [UInt8] = []
    /// What the answer's `Date` says, Unix seconds.
    private(set) var date: Int?

    private static let statusLineStart = Array("HTTP/".utf8)
    /// In lower case.
    private static let dateStart = Array("date:".utf8)
    private static let blankLine = Array("\r\n".utf8)

    private let handle: UnsafeMutableRawPointer
    private let cancellation: CancellationFlag?
    private let onChunk: (UnsafeRawBufferPointer) throws -> Void

    init(
        handle: UnsafeMutableRawPointer,
        cancellation: CancellationFlag?,
        onChunk: @escaping (UnsafeRawBufferPointer) throws -> Void
    ) {
        self.handle = handle
        self.cancellation = cancellation
        self.onChunk = onChunk
    }

    static func from(_ context: UnsafeMutableRawPointer?) -> HTTPTransfer {
        Unmanaged<HTTPTransfer>.fromOpaque(context!).takeUnretainedValue()
    }

    var isCancelled: Bool { cancellation?.isCancelled ?? false }

    /// Takes one line of the head.
    ///
    /// Returns false to end the transfer.
    func receiveHeader(_ line: UnsafeRawBufferPointer) -> Bool {
        headerBytes += line.count
        guard headerBytes <= Self.headerBytesMax else {
            failure = CarrierError.malformed("headers of more than \(Self.headerBytesMax) bytes")
            return false
        }
        if line.starts(with: Self.statusLineStart) {
            isHeadComplete = false
        } else if line.elementsEqual(Self.blankLine) {
            isHeadComplete = true
        } else if line.prefix(5).map({ $0 | 0x20 }) == Self.dateStart {
            date = Self.seconds(String(decoding: line.dropFirst(5), as: UTF8.self))
        }
        return true
    }

    /// Reads the one form of dates that HTTP/1.1 allows to be written.
    private static func seconds(_ text: String) -> Int? {
        let words = text.split { " \r\n".contains($0) }
        guard words.count == 6, words[5] == "GMT", let day = Int32(words[1]), let year = Int32(words[3]),
            let month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]
                .firstIndex(of: String(words[2]))
        else { return nil }
        let clock = words[4].split(separator: ":").compactMap { Int32($0) }
        guard clock.count == 3, 1970...9999 ~= year else { return nil }
        var parts = tm()
        (parts.tm_year, parts.tm_mon, parts.tm_mday) = (year - 1900, Int32(month), day)
        (parts.tm_hour, parts.tm_min, parts.tm_sec) = (clock[0], clock[1], clock[2])
        return timegm(&parts)
    }

    /// Returns false to end the transfer.
    func receiveBody(_ piece: UnsafeRawBufferPointer) -> Bool {
        bytesReceived += piece.count
        var status = 0
        _ = ccurl_get_long(handle, CURLINFO_RESPONSE_CODE, &status)
        guard (200...299).contains(status) else {
            refusal.append(contentsOf: piece.prefix(Self.refusalBytesMax - refusal.count))
            guard refusal.count < Self.refusalBytesMax else {
                failure = CarrierError.refused(status: status, body: refusal)
                return false
            }
            return true
        }
        do {
            try onChunk(piece)
            return true
        } catch {
            failure = error
            return false
        }
    }
}
