// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

extension Draft {
    func erase(_ collection: CollectionSchema, _ id: RecordID) throws { try delete(collection, id, reason: "") }
}
