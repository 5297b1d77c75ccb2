// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Logging
import TsunaguCarriers

/// Opens the site in a data directory and says what its daemon is made of.
///
/// The one place where the daemon meets the commands; everything else here knows only addresses and bytes.
func makeParts(directory: String, settings: DaemonSettings, logger: Logger) throws -> DaemonParts {
    complain("\(directory): this build does not open sites yet")
    throw ExitCode.failure
}
