// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore

/// What a change wrote on a record that somebody erased without having seen it.
package struct WithdrawnEntry: Sendable {
    package let header: ChangeHeader
    package let id: RecordID
    package let shape: Shape
    /// One value a slot of the shape.
    package let values: [Value]

    package init(header: ChangeHeader, id: RecordID, shape: Shape, values: [Value]) {
        self.header = header
        self.id = id
        self.shape = shape
        self.values = values
    }
}
