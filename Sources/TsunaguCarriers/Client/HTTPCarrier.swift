// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import CCurl

/// The client end of HTTP: posts a body and hands over the answer as it arrives.
///
/// Blocking and meant for one thread at a time: the main thread of a command, or the daemon's own sync thread. One
/// carrier is one peer; it keeps its connection between posts, so that an exchange of many rounds pays for one TLS
/// handshake. It takes the proxy from the environment, follows no redirect, and speaks nothing but HTTP/1.1.
package final class HTTPCarrier {
    /// How the other end proves who it is.
    package enum Trust: Hashable, Sendable {
        /// By its public key and nothing else: a hub's self-made certificate has no name or date worth reading.
        case pin(PublicKeyPin)
        /// By the certificate authorities that this machine trusts.
        case system
        /// Not at all, over `http://`: for a hub on this machine, behind a proxy that does TLS.
        case plain
        /// Not at all, over TLS: for a peer whose certificate nobody told us, where what is carried is sealed itself.
        case anyone
    }

    /// There is no limit on the whole: a first sync over a slow line may take an hour and be well.
    package struct Timeouts: Hashable, Sendable {
        /// For name, connection and TLS handshake together.
        package var connect: Duration = .seconds(10)
        /// For the silence after which a connection counts as dead; whole seconds.
        package var stall: Duration = .seconds(60)

        package init() {}
    }

    /// What went over the wire since the carrier was made, failed posts included.
    ///
    /// Bytes are HTTP bodies.
    package struct Traffic: Hashable, Sendable {
        package var posts = 0
        package var connections = 0
        package var bytesSent = 0
        package var bytesReceived = 0
    }

    package let base: HubURL
    package private(set) var traffic = Traffic()
    /// What the peer's clock showed at its last answer, Unix seconds.
    package private(set) var peerTime: Int?

    private let handle: UnsafeMutableRawPointer
    private let errorText: UnsafeMutablePointer<CChar>
    private var headers: UnsafeMutablePointer<curl_slist>?

    /// - Throws: ``CarrierError/unusableAddress(_:)`` when `base` and `trust` contradict each other,
    ///   ``CarrierError/unavailable(_:)`` when libcurl is missing.
    package init(base: HubURL, trust: Trust, timeouts: Timeouts = Timeouts()) throws(CarrierError) {
        switch (trust, base.isSecure) {
        case (.pin, true), (.system, true), (.anyone, true), (.plain, false): break
        case (.plain, true): throw .unusableAddress("\"\(base)\": say how to trust it, or use http://")
        case (.pin, false), (.system, false), (.anyone, false):
            throw .unusableAddress("\"\(base)\": only https:// proves who answers")
        }
        try Self.load()
        guard let handle = ccurl_easy_init() else { throw .unavailable("libcurl makes no handle") }
        self.base = base
        self.handle = handle
        errorText = .allocate(capacity: Int(CURL_ERROR_SIZE))
        errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))

        try configureRequests()
        try configureTrust(trust)
        try configureLimits(timeouts)
        configureCallbacks()
    }

    deinit {
        ccurl_easy_cleanup(handle)
        ccurl_list_free(headers)
        errorText.deallocate()
    }

    /// Posts `body` to `path` and hands over each piece of the answer's body as it arrives.
    ///
    /// While `onChunk` works nothing more is read, so a slow reader slows the sender down and memory stays small. An
    /// error that it throws ends the transfer and is rethrown. It sees the body of a successful answer only; any
    /// other status is thrown as ``CarrierError/refused(status:body:)``.
    ///
    /// - Parameter path: begins with a slash, and needs no escaping.
    package func post(
        _ path: String,
        body: [UInt8],
        cancellation: CancellationFlag? = nil,
        onChunk: (UnsafeRawBufferPointer) throws -> Void
    ) throws -> HTTPReply {
        precondition(path.hasPrefix("/"), "path \(path) does not begin with a slash")
        if cancellation?.isCancelled == true { throw CarrierError.cancelled }

        return try withoutActuallyEscaping(onChunk) { onChunk in
            let transfer = HTTPTransfer(handle: handle, cancellation: cancellation, onChunk: onChunk)
            let code = try perform(transfer, url: base.description + path, body: body)
            let sent = offset(CURLINFO_SIZE_UPLOAD_T)
            traffic.posts += 1
            traffic.connections += long(CURLINFO_NUM_CONNECTS)
            traffic.bytesSent += sent
            traffic.bytesReceived += transfer.bytesReceived
            peerTime = transfer.date ?? peerTime

            if let failure = transfer.failure { throw failure }
            guard code == CURLE_OK else { throw failure(code, afterAnswer: transfer.headerBytes > 0) }
            guard transfer.isHeadComplete else { throw CarrierError.interrupted("the answer ends in its head") }
            let status = long(CURLINFO_RESPONSE_CODE)
            guard (200...299).contains(status) else {
                throw CarrierError.refused(status: status, body: transfer.refusal)
            }
            return HTTPReply(status: status, bytesSent: sent, bytesReceived: transfer.bytesReceived)
        }
    }

    private func perform(_ transfer: HTTPTransfer, url: String, body: [UInt8]) throws(CarrierError) -> CURLcode {
        let context = UnsafeRawPointer(Unmanaged.passUnretained(transfer).toOpaque())
        try set(CURLOPT_URL, url)
        try set(CURLOPT_WRITEDATA, context)
        try set(CURLOPT_HEADERDATA, context)
        try set(CURLOPT_XFERINFODATA, context)
        // Without a pointer libcurl would read the body from a callback, even an empty one.
        let code = body.withUnsafeBytes { bytes in
            let start = bytes.baseAddress ?? UnsafeRawPointer(errorText)
            _ = ccurl_set_offset(handle, CURLOPT_POSTFIELDSIZE_LARGE, curl_off_t(bytes.count))
            _ = ccurl_set_pointer(handle, CURLOPT_POSTFIELDS, start)
            errorText.pointee = 0
            return ccurl_easy_perform(handle)
        }
        withExtendedLifetime(transfer) {}
        return code
    }
}

/// How a post ended well.
///
/// Bytes are HTTP bodies.
package struct HTTPReply: Hashable, Sendable {
    package let status: Int
    package let bytesSent: Int
    package let bytesReceived: Int
}

// MARK: - Setting up

extension HTTPCarrier {
    private static let loadFailure = ccurl_load().map { String(cString: $0) }

    private static func load() throws(CarrierError) {
        if let loadFailure { throw .unavailable(loadFailure) }
    }

    private func configureRequests() throws(CarrierError) {
        // "Expect:" empty: otherwise libcurl holds back a large body for a second, waiting for leave to send it.
        for line in ["Content-Type: application/octet-stream", "Accept: application/octet-stream", "Expect:"] {
            guard let longer = ccurl_list_append(headers, line) else { throw .unavailable("no memory") }
            headers = longer
        }
        try set(CURLOPT_HTTPHEADER, UnsafeRawPointer(headers!))
        try set(CURLOPT_POST, 1)
        try set(CURLOPT_USERAGENT, "tsunagu")
        try set(CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1)
        try set(CURLOPT_PROTOCOLS_STR, base.isSecure ? "https" : "http")
        try set(CURLOPT_FOLLOWLOCATION, 0)
        // A proxy's answer to CONNECT is not the peer's.
        try set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        if base.isLoopback { try set(CURLOPT_NOPROXY, "*") }
    }

    private func configureTrust(_ trust: Trust) throws(CarrierError) {
        switch trust {
        case .plain, .system:
            try set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        case .anyone:
            try set(CURLOPT_SSL_VERIFYPEER, 0)
            try set(CURLOPT_SSL_VERIFYHOST, 0)
            try set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2)
        case .pin(let pin):
            try set(CURLOPT_PINNEDPUBLICKEY, pin.description)
            try set(CURLOPT_SSL_VERIFYPEER, 0)
            try set(CURLOPT_SSL_VERIFYHOST, 0)
            // libcurl compares the pin with the certificate it is shown; only TLS 1.3 leaves no way to show none.
            try set(CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_3)
        }
    }

    private func configureLimits(_ timeouts: Timeouts) throws(CarrierError) {
        let (seconds, attoseconds) = timeouts.connect.components
        try set(CURLOPT_CONNECTTIMEOUT_MS, Int(seconds * 1000 + attoseconds / 1_000_000_000_000_000))
        try set(CURLOPT_LOW_SPEED_LIMIT, 64)
        try set(CURLOPT_LOW_SPEED_TIME, max(1, Int(timeouts.stall.components.seconds)))
        try set(CURLOPT_TCP_KEEPALIVE, 1)
        try set(CURLOPT_BUFFERSIZE, 128 << 10)
        // Signals would end up in whatever thread the daemon runs.
        try set(CURLOPT_NOSIGNAL, 1)
        try set(CURLOPT_NOPROGRESS, 0)
        try set(CURLOPT_ERRORBUFFER, UnsafeRawPointer(errorText))
    }

    private func configureCallbacks() {
        _ = ccurl_set_write_callback(handle, CURLOPT_WRITEFUNCTION) { bytes, size, count, context in
            let piece = UnsafeRawBufferPointer(start: bytes, count: size * count)
            return HTTPTransfer.from(context).receiveBody(piece) ? piece.count : 0
        }
        _ = ccurl_set_write_callback(handle, CURLOPT_HEADERFUNCTION) { bytes, size, count, context in
            let line = UnsafeRawBufferPointer(start: bytes, count: size * count)
            return HTTPTransfer.from(context).receiveHeader(line) ? line.count : 0
        }
        _ = ccurl_set_progress_callback(handle) { context, _, _, _, _ in
            HTTPTransfer.from(context).isCancelled ? 1 : 0
        }
    }

    private func set(_ option: CURLoption, _ value: Int) throws(CarrierError) {
        try check(ccurl_set_long(handle, option, value), option)
    }

    private func set(_ option: CURLoption, _ value: String) throws(CarrierError) {
        try check(ccurl_set_string(handle, option, value), option)
    }

    private func set(_ option: CURLoption, _ value: UnsafeRawPointer) throws(CarrierError) {
        try check(ccurl_set_pointer(handle, option, value), option)
    }

    /// An option that this libcurl lacks must not be skipped: without the pin, say, we would talk to anybody.
    private func check(_ code: CURLcode, _ option: CURLoption) throws(CarrierError) {
        guard code == CURLE_OK else {
            throw .unavailable("libcurl option \(option.rawValue): \(String(cString: ccurl_easy_strerror(code)))")
        }
    }
}

// MARK: - Reading results

extension HTTPCarrier {
    private func long(_ info: CURLINFO) -> Int {
        var value = 0
        _ = ccurl_get_long(handle, info, &value)
        return value
    }

    private func offset(_ info: CURLINFO) -> Int {
        var value: curl_off_t = 0
        _ = ccurl_get_offset(handle, info, &value)
        return Int(value)
    }

    private func failure(_ code: CURLcode, afterAnswer: Bool) -> CarrierError {
        let text = String(cString: errorText.pointee == 0 ? ccurl_easy_strerror(code) : UnsafePointer(errorText))
        return switch code {
        case CURLE_ABORTED_BY_CALLBACK:
            .cancelled
        case CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_ISSUER_ERROR,
            CURLE_SSL_CACERT_BADFILE:
            .untrusted(text)
        case CURLE_OPERATION_TIMEDOUT:
            .timeout(text)
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT:
            .unreachable(text)
        case CURLE_SSL_CONNECT_ERROR, CURLE_GOT_NOTHING:
            afterAnswer ? .interrupted(text) : .unanswered(text)
        case CURLE_SEND_ERROR, CURLE_RECV_ERROR, CURLE_PARTIAL_FILE:
            afterAnswer ? .interrupted(text) : .unreachable(text)
        case CURLE_URL_MALFORMAT:
            .unusableAddress("\"\(base)\": \(text)")
        case CURLE_OUT_OF_MEMORY, CURLE_FAILED_INIT, CURLE_NOT_BUILT_IN:
            .unavailable(text)
        default:
            .malformed(text)
        }
    }
}
