// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import TsunaguCommands

#if canImport(Glibc)
    import Glibc
#endif

/// What is typed at the terminal and not shown there.
enum HiddenInput {
    /// Asks for one line.
    ///
    /// - Parameter option: what names a file instead, where there is no terminal.
    static func ask(_ prompt: String, orFileOf option: String) throws -> [UInt8] {
        var former = termios()
        guard tcgetattr(STDIN_FILENO, &former) == 0 else {
            throw CommandError(
                .usage,
                Localized(ja: "端末がないので尋ねられません", en: "there is no terminal to ask at"),
                hint: Localized(ja: "\(option) を使ってください", en: "use \(option)")
            )
        }
        Standard.error.write(prompt)
        var silent = former
        silent.c_lflag &= ~tcflag_t(ECHO)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &silent)
        defer {
            tcsetattr(STDIN_FILENO, TCSAFLUSH, &former)
            Standard.error.write("\n")
        }
        return Array((readLine() ?? "").utf8)
    }
}
