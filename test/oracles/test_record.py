"""What the whole run has shown. Loaded last: it judges what the journeys have left."""

import unittest

import clouds
import fields

# Every call that upgrades may make and that the vendors' clients have.
APIS = {
    *(f"ges/v1/{name}" for name in ("ListGraphs", "ShowGraph", "UpgradeGraph", "ShowJob", "ListJobs")),
    *(f"ges/v2/{name}" for name in ("ListGraphs2", "ShowGraph2", "UpgradeGraph2", "ShowJob2", "ListJobs2")),
    *(f"cse/v1/{name}Engine" for name in ("Show", "Upgrade", "Retry")),
    *("cse/v1/ListEngines", "cse/v1/ShowEngineJob"),
    *(f"dcs/v2/{name}" for name in ("ListInstances", "ShowInstance", "ShowInstanceVersion")),
    *("dcs/v2/UpgradeInstanceMinorVersion", "dcs/v2/ListBackgroundTask", "dcs/v2/ShowBackgroundTaskProgress"),
    *(f"elasticsearch/{name}" for name in ("ListInstance", "DescribeInstance", "DescribeElasticsearchHealth")),
    *(f"elasticsearch/{name}" for name in ("UpgradeInfo", "UpgradeEngineVersion", "ListActionRecords")),
}


class Record(unittest.TestCase):
    def test_every_call_was_made(self):
        self.assertEqual(set(fields.CALLS), APIS)

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
