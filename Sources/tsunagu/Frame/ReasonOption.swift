// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser

/// Why somebody does what cannot go without a reason; it stays on record.
struct ReasonOption: ParsableArguments {
    @Option(help: ArgumentHelp(tr("理由", "Why."), valueName: "text"))
    var reason: String
}
