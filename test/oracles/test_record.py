"""What the whole run has shown. Loaded last: it judges what the journeys have left."""

import unittest

import clouds
import fields


class Record(unittest.TestCase):
    def test_no_field_is_missing(self):
        for name, call in fields.CALLS.items():
            with self.subTest(call=name):
                self.assertEqual(call.missing, [])

    def test_every_field_is_what_the_model_says(self):
        for name, call in fields.CALLS.items():
            with self.subTest(call=name):
                self.assertEqual(sorted(call.problems), [])

    def test_the_clouds_saw_nothing_wrong(self):
        truth = clouds.simulator("truth")
        self.assertEqual(truth["signatureFailures"], {})
        self.assertEqual(truth["unknownPaths"], {})
        violations = {(violation["kind"], violation["detail"]) for violation in truth["violations"]}
        self.assertEqual(violations, {("submit-while-running", id) for id in clouds.ASKED_WHILE_RUNNING})
        for resource, counts in truth["perResource"].items():
            with self.subTest(resource=resource):
                self.assertLessEqual(counts["accepted"], 2 if resource in clouds.RETRIED else 1)
