// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What the hub says to a request.
///
/// The server moves the bytes and knows nothing of what they mean.
///
/// Both ``answer(path:body:)`` and the pieces of the answer are asked for on threads that may block.
package protocol HubService: Sendable {
    /// - Parameter path: begins with `/v1/`, without a query.
    func answer(path: String, body: [UInt8]) -> HubAnswer
}

/// A status and the pieces of a body, made one at a time.
package struct HubAnswer: Sendable {
    package let status: Int

    /// The next piece of the body, nil after the last.
    ///
    /// Called once the former piece was handed to the network, never twice at once, though on different threads. When
    /// it throws, the connection is cut, so that the client cannot take half an answer for a whole one. When the client
    /// goes away it is not called again: whatever it holds must go with the closure.
    package let next: @Sendable () throws -> [UInt8]?

    package init(status: Int, next: @escaping @Sendable () throws -> [UInt8]?) {
        self.status = status
        self.next = next
    }
}
