// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCore
import TsunaguStore

extension StoreTransaction {
    func settleSeats(in spaces: Set<SpaceID>, by site: Site) throws {}
}
