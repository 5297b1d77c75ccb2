# This source file is part of the Tsunagu project.
# SPDX-License-Identifier: Apache-2.0
"""Where a flow stands: change-format.md, section 7."""

from dataclasses import dataclass

from codec import Malformed, Reader


@dataclass
class Step:
    dot: tuple
    start: str
    end: str
    answers: list


def read_step(dot, content):
    """None where the item does not read as a step."""
    try:
        reader = Reader(content)
        start, end, _ = reader.text(65536), reader.text(65536), reader.text(65536)
        answers = reader.repeat(reader.varint(0, 1024), lambda: (reader.replica(), reader.varint()))
        reader.end()
    except Malformed:
        return None
    return Step(dot, start, end, answers)


class Machine:
    def __init__(self, declared):
        self.steps = {tuple(step) for step in declared["steps"]}
        self.twins_are_one = declared["twins"] == "one"
        self.yielding = {tuple(pair) for pair in declared["yielding"]}
        """(a state, one that it gives way to)"""

    def counting(self, live):
        """The steps that count, in list order."""
        found = []
        for change, item in live:
            step = read_step(change.dot, item.content)
            if step:
                step.answers = [dot for answer in step.answers for dot in change.meant(answer)]
            if step and self.counts(step, found):
                found.append(step)
        return found

    def counts(self, step, earlier):
        if step.start != step.end and (step.start, step.end) not in self.steps:
            return False
        if step.start == "":
            return step.end != ""
        return any(other.end == step.start and other.dot in step.answers for other in earlier)

    def standing(self, live):
        """The steps that say where the flow stands, in list order."""
        steps = self.counting(live)

        def ends(later, earlier):
            return steps[earlier].dot in steps[later].answers or steps[earlier].dot == steps[later].dot

        past = []
        """By place: the places of all that a step follows from."""
        for place in range(len(steps)):
            direct = [other for other in range(place) if ends(place, other)]
            past.append(set(direct).union(*(past[other] for other in direct)))
        ended = set().union(*past)
        standing = [place for place in range(len(steps)) if place not in ended]
        if self.twins_are_one:
            standing = [
                place
                for place in standing
                if not any(
                    (steps[other].start, steps[other].end) == (steps[place].start, steps[place].end)
                    for other in ended - past[place]
                )
            ]
        left = {steps[place].end for place in standing}
        return [
            steps[place] for place in standing if not any((steps[place].end, end) in self.yielding for end in left)
        ]

    def state(self, live):
        """The shown state, None where no step stands."""
        standing = self.standing(live)
        return standing[-1].end if standing else None
