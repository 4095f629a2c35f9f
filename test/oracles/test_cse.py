"""Huawei's own CSE client upgrades simulated engines."""

import unittest

from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkcse import v1

import clouds
import fields

TARGET = "2.4.2"
RUNNING = ("PreInit", "Init", "Executing")


class Cse(unittest.TestCase):
    def setUp(self):
        self.client = clouds.huawei(v1.CseClient)

    def read(self, engine):
        return fields.huawei(self.client, "show_engine", v1.ShowEngineRequest(engine_id=engine))

    def upgrade(self, engine, version=TARGET):
        body = v1.EngineUpdateReq(version=version)
        return fields.huawei(self.client, "upgrade_engine", v1.UpgradeEngineRequest(engine_id=engine, body=body))

    def retry(self, engine):
        body = v1.EngineAdditionalActionReq(action="Retry")
        return fields.huawei(self.client, "retry_engine", v1.RetryEngineRequest(engine_id=engine, body=body))

    def job(self, engine, job):
        request = v1.ShowEngineJobRequest(engine_id=engine, job_id=str(job))
        return fields.huawei(self.client, "show_engine_job", request)

    def follow(self, engine, job):
        return clouds.until(lambda: self.job(engine, job), lambda job: job.status not in RUNNING)

    def test_upgrade(self):
        engine = clouds.take("cse")
        before = self.read(engine["id"])
        self.assertEqual((before.id, before.status, before.version), (engine["id"], "Available", engine["version"]))
        self.assertEqual(before.latest_version, TARGET)

        accepted = self.upgrade(engine["id"])
        self.assertEqual((accepted.id, accepted.name), (engine["id"], engine["name"]))
        upgrading = self.read(engine["id"])
        self.assertEqual((upgrading.status, upgrading.latest_job_id), ("Upgrading", accepted.job_id))
        job = self.follow(engine["id"], accepted.job_id)[-1]
        self.assertEqual((job.id, job.engine_id, job.status), (accepted.job_id, engine["id"], "Finished"))
        self.assertEqual({task.status for phase in job.tasks for task in phase.tasks}, {"Finished"})

        after = self.read(engine["id"])
        self.assertEqual((after.status, after.version), ("Available", TARGET))

    def test_a_failed_upgrade_stays_until_it_is_retried(self):
        engine = clouds.take("cse", "rolls-back")
        accepted = self.upgrade(engine["id"])
        failed = self.follow(engine["id"], accepted.job_id)[-1]
        self.assertIn(failed.status, ("Error", "Timeout"))
        [step] = [task for phase in failed.tasks for task in phase.tasks if task.status == failed.status]
        self.assertTrue(step.log or step.output)
        after = self.read(engine["id"])
        self.assertEqual((after.status, after.version), ("UpgradeFailed", engine["version"]))
        self.assertIn("Retry", after.engine_additional_actions)

        clouds.RETRIED.add(engine["id"])
        retried = self.retry(engine["id"])
        self.assertEqual((retried.id, retried.name), (engine["id"], engine["name"]))
        self.assertEqual(self.read(engine["id"]).status, "Upgrading")
        self.follow(engine["id"], retried.job_id)

    def test_list_in_pages(self):
        found, total, offset = set(), None, 0
        while total is None or offset < total:
            request = v1.ListEnginesRequest(offset=offset, limit="3", type="ALL")
            page = fields.huawei(self.client, "list_engines", request)
            total = page.total
            found |= {engine.id for engine in page.data}
            offset += 3
        self.assertEqual(len(found), total)
        self.assertEqual(found, clouds.all_of("cse"))

    def test_refusals(self):
        engine = clouds.take("cse")["id"]
        self.assertEqual(self.refusal(lambda: self.read("no-such-engine")), "SVCSTG.00501116")
        self.assertEqual(self.refusal(lambda: self.job(engine, 2)), "SVCSTG.00501153")
        self.assertEqual(self.refusal(lambda: self.job(engine, "none")), "SVCSTG.00501152")
        # Of an upgrade that is refused no document names a code.
        self.assertTrue(self.refusal(lambda: self.upgrade(engine, "1." * 12 + "1")))
        self.assertTrue(self.refusal(lambda: self.retry(engine)))
        self.upgrade(engine)
        clouds.ASKED_WHILE_RUNNING.add(engine)
        self.assertTrue(self.refusal(lambda: self.upgrade(engine)))

    def test_temporary_keys(self):
        self.client = clouds.huawei(v1.CseClient, "huaweiTemporary")
        engine = clouds.take("cse")["id"]
        self.assertEqual(self.read(engine).id, engine)

    def refusal(self, call):
        with self.assertRaises(ClientRequestException) as caught:
            call()
        self.assertIn(caught.exception.status_code, (400, 401))
        return caught.exception.error_code
