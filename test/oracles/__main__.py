"""Runs the oracles: `python test/oracles`. Ends with the calls made, their fields, and `N passed, N failed`."""

import logging
import sys
import unittest

import clouds
import fields

# Journeys first; the record is what they leave.
MODULES = ["test_windows", "test_signers", "test_ges", "test_cse", "test_dcs", "test_elasticsearch", "test_record"]


def report() -> None:
    print()
    for name, call in sorted(fields.CALLS.items()):
        excepted, missing = call.excepted, call.missing
        print(f"{name}: {call.times} calls of {call.where}")
        print(f"  the vendor's model wants {len(call.wanted)} fields: {len(call.seen)} answered", end="")
        print(f", {len(excepted)} not of an upgrade, missing: {', '.join(missing) if missing else 'none'}")
        for reason in sorted(set(excepted.values())):
            paths = [path for path in excepted if excepted[path] == reason and path.rpartition(".")[0] not in excepted]
            print(f"  not of an upgrade: {', '.join(paths)} ({reason})")
        for problem in sorted(call.problems):
            print(f"  wrong: {problem}")
    calls = fields.CALLS.values()
    times, wanted = sum(call.times for call in calls), sum(len(call.wanted) for call in calls)
    excepted, missing = sum(len(call.excepted) for call in calls), sum(len(call.missing) for call in calls)
    print(
        f"\n{times} calls of {len(calls)} APIs; the vendors' models want {wanted} fields: "
        f"{wanted - excepted - missing} answered, {excepted} not of an upgrade, {missing} missing"
    )


class Counted(unittest.TextTestResult):
    """Counts tests, not their parts; a test that did not run to its end has failed."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self.names: set[str] = set()

    def startTest(self, test):
        super().startTest(test)
        self.names.add(test.id())

    def bad(self) -> set[str]:
        unwell = [test for test, _ in (*self.failures, *self.errors, *self.skipped)]
        return {getattr(test, "test_case", test).id() for test in unwell}


logging.disable(logging.CRITICAL)
try:
    suite = unittest.defaultTestLoader.loadTestsFromNames(MODULES)
    result = unittest.TextTestRunner(stream=sys.stdout, verbosity=2, resultclass=Counted).run(suite)
    report()
finally:
    clouds.stop()
failed = len(result.bad())
print(f"{len(result.names | result.bad()) - failed} passed, {failed} failed")
sys.exit(failed > 0)
