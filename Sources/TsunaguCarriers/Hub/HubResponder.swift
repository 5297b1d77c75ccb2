// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import Logging
import NIOCore
import NIOPosix

/// Turns a request into a call of the ``HubService``, and its pieces into a streamed answer.
struct HubResponder: HTTPResponder {
    typealias Context = ConnectionContext

    let service: any HubService
    let threads: NIOThreadPool
    let requestBytesMax: Int
    let stallTimeout: Duration
    let logger: Logger

    func respond(to request: Request, context: ConnectionContext) async throws -> Response {
        let path = request.uri.path
        switch request.method {
        case .get where path == "/healthz":
            return .text(.ok, "ok\n")
        case .post where path.hasPrefix("/v1/"):
            return try await exchange(request, path: path, channel: context.channel)
        case _ where path == "/healthz":
            return .methodNotAllowed(allow: "GET")
        case _ where path.hasPrefix("/v1/"):
            return .methodNotAllowed(allow: "POST")
        default:
            return .notFound
        }
    }

    private func exchange(_ request: Request, path: String, channel: any Channel) async throws -> Response {
        guard request.headers[.contentType] == Self.octets else {
            return .text(.unsupportedMediaType, "expected \(Self.octets)\n")
        }
        guard let body = try await collectBody(of: request) else {
            return .text(.contentTooLarge, "a request has at most \(requestBytesMax) bytes\n")
        }

        let answer: HubAnswer
        let first: [UInt8]?
        do {
            // One trip to the threads for a short answer, and an answer that fails at once is still a clean refusal.
            (answer, first) = try await threads.runIfActive {
                let answer = service.answer(path: path, body: body)
                return (answer, try answer.next())
            }
        } catch {
            logFailure(error, path: path)
            return .text(.internalServerError, "internal error\n")
        }
        return Response(
            status: HTTPResponse.Status(code: answer.status),
            headers: [.contentType: Self.octets, .cacheControl: "no-store"],
            body: first.map { stream(from: $0, of: answer, path: path, channel: channel) } ?? ResponseBody()
        )
    }

    /// The whole body, or nil when it is too large.
    ///
    /// A length that says so already is not waited for.
    private func collectBody(of request: Request) async throws -> [UInt8]? {
        if let length = request.headers[.contentLength].flatMap({ Int($0) }), length > requestBytesMax { return nil }
        do {
            return Array(buffer: try await request.body.collect(upTo: requestBytesMax))
        } catch is NIOTooManyBytesError {
            return nil
        }
    }

    private func stream(
        from first: [UInt8],
        of answer: HubAnswer,
        path: String,
        channel: any Channel
    ) -> ResponseBody {
        ResponseBody { writer in
            do {
                var piece: [UInt8]? = first
                while let bytes = piece {
                    // A client that takes nothing would hold its place for ever: Hummingbird watches requests only.
                    let stall = channel.eventLoop.scheduleTask(in: TimeAmount(stallTimeout)) {
                        channel.close(promise: nil)
                    }
                    defer { stall.cancel() }
                    try await writer.write(ByteBuffer(bytes: bytes))
                    stall.cancel()
                    piece = try await threads.runIfActive { try answer.next() }
                }
                try await writer.finish(nil)
            } catch {
                // Thrown on, the error ends the connection without the mark that says "complete".
                logFailure(error, path: path)
                throw error
            }
        }
    }

    /// The kind of the error only: its text might quote somebody's data.
    private func logFailure(_ error: any Error, path: String) {
        logger.warning("an answer failed", metadata: ["path": "\(path)", "error": "\(type(of: error))"])
    }

    private static let octets = "application/octet-stream"
}
