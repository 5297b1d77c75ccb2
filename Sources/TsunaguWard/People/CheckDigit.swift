// This source file is part of the Tsunagu project.
// SPDX-License-Identifier: Apache-2.0

/// The check digit of register numbers: modulus 11, weights 2 to 7 from the right and again (M11W2–7).
package enum CheckDigit {
    /// The digit, 0 to 9, that follows a serial number.
    ///
    /// - Precondition: `digits` are numbers from 0 to 9.
    package static func of(_ digits: [Int]) -> Int {
        var sum = 0
        for (index, digit) in digits.reversed().enumerated() {
            precondition((0...9).contains(digit), "no digit: \(digit)")
            sum += digit * (index % 6 + 2)
        }
        let rest = sum % 11
        return rest <= 1 ? 0 : 11 - rest
    }

    /// The serial number in so many digits with its check digit behind it.
    package static func number(serial: Int, digits count: Int) -> String {
        var digits = [Int](repeating: 0, count: count)
        var rest = serial
        for index in digits.indices.reversed() {
            digits[index] = rest % 10
            rest /= 10
        }
        precondition(serial >= 0 && rest == 0, "\(serial) does not fit \(count) digits")
        digits.append(of(digits))
        return digits.map(String.init).joined()
    }
}
