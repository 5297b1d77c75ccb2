// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Hummingbird
import NIOCore
import NIOHTTP1
import NIOHTTPTypes

/// Holds one connection to the ``ConnectionLimits``: 503 where there are too many, 408 for a request that does not come to
/// its end, 431 for too long a head.
///
/// A client that was answered before and is silent since is not told: it would take what it hears for the answer to its
/// next request.
final class ConnectionGuard: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = HTTPRequestPart
    typealias InboundOut = HTTPRequestPart
    typealias OutboundIn = HTTPResponsePart
    typealias OutboundOut = HTTPResponsePart

    private let limits: ConnectionLimits
    private let count: ConnectionCount

    /// Set while the connection is counted.
    private var address: String?
    /// Whether nothing more of the connection goes up or down.
    private var isRefused = false
    private var deadline: Scheduled<Void>?

    /// When the request whose head was read must be whole; nil between requests.
    private var requestEnd: NIODeadline?
    /// Requests whose head was read and whose answer has not ended.
    private var unanswered = 0
    /// Whether a part of some answer was written.
    private var hasAnswered = false
    private var isAnswering = false

    init(_ limits: ConnectionLimits, _ count: ConnectionCount) {
        self.limits = limits
        self.count = count
    }

    // MARK: - The connection

    func handlerAdded(context: ChannelHandlerContext) {
        if context.channel.isActive { begin(context) }
    }

    func channelActive(context: ChannelHandlerContext) {
        begin(context)
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    private func begin(_ context: ChannelHandlerContext) {
        guard address == nil, !isRefused else { return }
        let name = context.remoteAddress?.ipAddress ?? ""
        if count.enter(name) {
            address = name
            schedule(context, at: .now() + TimeAmount(limits.idleTimeout))
        } else {
            isRefused = true
            schedule(context, at: .now() + TimeAmount(min(limits.idleTimeout, ConnectionLimits.refusalTimeout)))
        }
    }

    private func end() {
        deadline?.cancel()
        if let address { count.leave(address) }
        address = nil
        // What begins once more after its end is not counted.
        isRefused = true
    }

    // MARK: - Requests and answers

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isRefused else {
            // The answer waits for the whole request where it can, or the client might not read it before it is cut off.
            if case .end = unwrapInboundIn(data), !hasAnswered {
                refuse(context, .serviceUnavailable, "too many connections; try again in some minutes\n")
            }
            return
        }
        switch unwrapInboundIn(data) {
        case .head:
            unanswered += 1
            requestEnd = .now() + TimeAmount(limits.requestTimeout)
            scheduleRest(context)
        case .body:
            scheduleRest(context)
        case .end:
            requestEnd = nil
            deadline?.cancel()
            if unanswered == 0 { schedule(context, at: .now() + TimeAmount(limits.idleTimeout)) }
        }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        guard !isRefused else {
            promise?.fail(ChannelError.ioOnClosedChannel)
            return
        }
        switch unwrapOutboundIn(data) {
        case .head:
            (hasAnswered, isAnswering) = (true, true)
        case .body:
            break
        case .end:
            isAnswering = false
            unanswered -= 1
            if unanswered == 0, requestEnd == nil { schedule(context, at: .now() + TimeAmount(limits.idleTimeout)) }
        }
        context.write(data, promise: promise)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard case HTTPParserError.headerOverflow = error, !isRefused, unanswered == 0 else {
            return context.fireErrorCaught(error)
        }
        refuse(context, .requestHeaderFieldsTooLarge, "the head of the request is too large\n")
    }

    // MARK: - Time

    private func scheduleRest(_ context: ChannelHandlerContext) {
        guard let requestEnd else { return }
        schedule(context, at: min(requestEnd, .now() + TimeAmount(limits.idleTimeout)))
    }

    private func schedule(_ context: ChannelHandlerContext, at time: NIODeadline) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(deadline: time) { self.timeIsUp(context) }
    }

    private func timeIsUp(_ context: ChannelHandlerContext) {
        let isOwnTurn = requestEnd == nil ? !hasAnswered : unanswered == 1 && !isAnswering
        guard !isRefused, isOwnTurn else { return context.close(promise: nil) }
        refuse(context, .requestTimeout, "the request did not come to its end in time\n")
    }

    /// Answers in place of the responder, and hangs up.
    private func refuse(_ context: ChannelHandlerContext, _ status: HTTPResponse.Status, _ reason: String) {
        (isRefused, hasAnswered) = (true, true)
        var head = HTTPResponse(status: status)
        head.headerFields[.contentType] = "text/plain; charset=utf-8"
        head.headerFields[.contentLength] = String(reason.utf8.count)
        head.headerFields[.connection] = "close"
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        context.write(wrapOutboundOut(.body(ByteBuffer(string: reason))), promise: nil)
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.close(promise: nil)
    }
}
