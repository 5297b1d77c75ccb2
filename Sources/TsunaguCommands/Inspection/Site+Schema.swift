// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

package import TsunaguCore
package import TsunaguWard

/// A collection as `schema` tells it.
package struct CollectionView: Sendable {
    package let collection: CollectionSchema
    /// Each group with who may do what.
    package let groups: [(group: MergeGroup, access: WardAccess)]
}

extension Site {
    /// Everything that a ward keeps, the engine's own collections first.
    package static var collections: [CollectionView] {
        schema.collections.map { collection in
            CollectionView(
                collection: collection,
                groups: collection.groups.map {
                    ($0, WardAccess.of(collection: collection.number, group: $0.number))
                }
            )
        }
    }
}
