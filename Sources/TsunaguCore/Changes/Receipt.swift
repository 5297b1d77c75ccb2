// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// What became of a run that arrived.
package enum Receipt: Hashable, Sendable {
    /// In effect: so many changes.
    case applied(Int)
    /// Was here already.
    case duplicate
    /// Waits for a cause that is not here yet.
    case held(waitsFor: String)
    /// Kept and shown, not in effect: no grant covers it.
    case quarantined(Int)
    /// Bytes of a run whose end is still to come are kept.
    case partial
    /// Not taken, and why.
    case refused(Refusal)
}

/// Why a run is not taken.
package enum Refusal: Hashable, Sendable {
    /// The bytes are not what the format says.
    case malformed(String)
    /// The seal is not its author's over this chain: forged, altered, reordered, cut or spliced.
    case badSeal
    /// The author's key is not known here.
    case unknownDevice
    /// It does not begin where the chain stands.
    case gap(expected: UInt64)
    /// The same number is known with other content.
    case fork(seq: UInt64)
    /// The holding area is full.
    case holdingFull
    /// The space is not one that the peer may hold.
    case notGranted
    /// What the peer may have staged here, or the author quarantined, is full.
    case shareFull

    /// A fixed word for logs and JSON.
    package var code: String {
        switch self {
        case .malformed: "malformed"
        case .badSeal: "bad_seal"
        case .unknownDevice: "unknown_device"
        case .gap: "gap"
        case .fork: "equivocation"
        case .holdingFull: "holding_full"
        case .notGranted: "not_granted"
        case .shareFull: "share_full"
        }
    }
}
