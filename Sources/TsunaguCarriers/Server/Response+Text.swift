// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Hummingbird

extension Response {
    /// A short text for people and probes.
    static func text(
        _ status: HTTPResponse.Status,
        _ text: String,
        type: String = "text/plain; charset=utf-8"
    ) -> Response {
        Response(
            status: status,
            headers: [.contentType: type, .cacheControl: "no-store"],
            body: .init(byteBuffer: ByteBuffer(string: text))
        )
    }

    static let notFound = Response.text(.notFound, "not found\n")

    static var unauthorised: Response {
        var response = Response.text(.unauthorized, "this needs the token of the data directory\n")
        response.headers[.wwwAuthenticate] = "Bearer"
        return response
    }

    static func methodNotAllowed(allow: String) -> Response {
        var response = Response.text(.methodNotAllowed, "method not allowed\n")
        response.headers[.allow] = allow
        return response
    }
}
