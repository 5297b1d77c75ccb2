// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

import Glibc

/// A program that the demo starts: real processes, as a ward has them.
final class ChildProcess {
    /// How a program ended and what it said.
    struct Result {
        let status: Int32
        let output: String
        let errors: String
    }

    /// A program could not be started or did not do what it must.
    struct Failure: Error, CustomStringConvertible {
        let description: String
    }

    private let process: pid_t
    private let output: Int32
    private let errors: Int32

    /// Starts a program; what it prints goes into pipes.
    init(_ path: String, _ arguments: [String], environment: [String: String]) throws {
        var (out, err): ([Int32], [Int32]) = ([0, 0], [0, 0])
        guard pipe(&out) == 0, pipe(&err) == 0 else { throw Self.failure("pipe") }
        // A program that inherits the other end of its own pipe would never see it close.
        for descriptor in out + err { _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC) }
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        posix_spawn_file_actions_adddup2(&actions, out[1], 1)
        posix_spawn_file_actions_adddup2(&actions, err[1], 2)

        var words: [UnsafeMutablePointer<CChar>?] = ([path] + arguments).map { strdup($0) } + [nil]
        var variables: [UnsafeMutablePointer<CChar>?] = environment.map { strdup("\($0)=\($1)") } + [nil]
        defer { (words + variables).forEach { free($0) } }
        var process: pid_t = 0
        let code = posix_spawn(&process, path, &actions, nil, &words, &variables)
        close(out[1])
        close(err[1])
        guard code == 0 else {
            close(out[0])
            close(err[0])
            throw Failure(description: "\(path): \(String(cString: strerror(code)))")
        }
        self.process = process
        output = out[0]
        errors = err[0]
    }

    deinit {
        close(output)
        close(errors)
    }

    /// Reads everything and waits for the end.
    func finish() throws -> Result {
        var texts: [Int32: [UInt8]] = [output: [], errors: []]
        var open: Set<Int32> = [output, errors]
        var buffer = [UInt8](repeating: 0, count: 65_536)
        // Both pipes at once: a program that fills one while we wait at the other would stand still.
        while !open.isEmpty {
            var polls = open.map { pollfd(fd: $0, events: Int16(POLLIN), revents: 0) }
            guard poll(&polls, nfds_t(polls.count), -1) > 0 || errno == EINTR else { throw Self.failure("poll") }
            for entry in polls where entry.revents != 0 {
                let count = read(entry.fd, &buffer, buffer.count)
                if count > 0 { texts[entry.fd]! += buffer[..<count] } else { open.remove(entry.fd) }
            }
        }
        return Result(
            status: wait(),
            output: String(decoding: texts[output]!, as: UTF8.self),
            errors: String(decoding: texts[errors]!, as: UTF8.self)
        )
    }

    /// Reads lines of output until one begins with each of some words; the daemon names its addresses so.
    func lines(beginning words: [String]) throws -> [String: String] {
        var text = ""
        var found: [String: String] = [:]
        var buffer = [UInt8](repeating: 0, count: 4096)
        while found.count < words.count {
            let count = read(output, &buffer, buffer.count)
            guard count > 0 else {
                throw Failure(description: "the daemon ended: \(try finish().errors.prefix(300))")
            }
            text += String(decoding: buffer[..<count], as: UTF8.self)
            // The part behind the last line's end may still grow.
            for line in text.split(separator: "\n", omittingEmptySubsequences: false).dropLast() {
                for word in words where line.hasPrefix(word + " ") {
                    found[word] = String(line.dropFirst(word.count + 1))
                }
            }
        }
        return found
    }

    /// Asks the program to end and waits until it has.
    func stop() -> Int32 {
        kill(process, SIGTERM)
        return wait()
    }

    private func wait() -> Int32 {
        var status: Int32 = 0
        while waitpid(process, &status, 0) < 0, errno == EINTR {}
        // As WIFEXITED, WEXITSTATUS and WTERMSIG have it.
        return status & 0x7f == 0 ? status >> 8 & 0xff : 128 + status & 0x7f
    }

    private static func failure(_ what: String) -> Failure {
        Failure(description: "\(what): \(String(cString: strerror(errno)))")
    }
}
