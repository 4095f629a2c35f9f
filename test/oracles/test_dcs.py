"""Huawei's own DCS client upgrades simulated caches."""

import unittest

from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkdcs import v2

import clouds
import fields


class Dcs(unittest.TestCase):
    def setUp(self):
        self.client = clouds.huawei(v2.DcsClient)

    def call(self, method, request):
        return fields.huawei(self.client, method, request)

    def read(self, cache):
        return self.call("show_instance", v2.ShowInstanceRequest(cache))

    def versions(self, cache):
        return self.call("show_instance_version", v2.ShowInstanceVersionRequest(cache))

    def upgrade(self, cache, **versions):
        body = v2.UpgradeMinorVersionRequestBody(**versions)
        request = v2.UpgradeInstanceMinorVersionRequest(cache, body)
        return self.call("upgrade_instance_minor_version", request).task_id

    def task(self, cache, task):
        listed = self.call("list_background_task", v2.ListBackgroundTaskRequest(cache, offset=0, limit=10))
        self.assertEqual(int(listed.task_count), len(listed.tasks))
        [found] = [one for one in listed.tasks if one.id == task]
        return found

    def progress(self, cache, task):
        return self.call("show_background_task_progress", v2.ShowBackgroundTaskProgressRequest(cache, task))

    def follow(self, cache, task):
        percents = []

        def look():
            percents.append(self.progress(cache, task).progress)
            return self.task(cache, task)

        ended = clouds.until(look, lambda task: task.status != "EXECUTING")[-1]
        self.assertEqual(percents, sorted(percents))
        return ended

    def test_upgrade_of_engine_and_proxy(self):
        cache = clouds.take("dcs", holding="proxy")["id"]
        before, offer = self.read(cache), self.versions(cache)
        self.assertEqual((before.instance_id, before.status, before.service_upgrade), (cache, "RUNNING", False))
        self.assertTrue(offer.engine_minor_version_upgradable and offer.proxy_minor_version_upgradable)

        task = self.upgrade(cache, engine_minor_version="latest", proxy_minor_version="latest")
        during = self.read(cache)
        # No status says it.
        self.assertEqual((during.status, during.service_upgrade, during.service_task_id), ("RUNNING", True, task))
        instances = self.call("list_instances", v2.ListInstancesRequest(limit=100)).instances
        self.assertEqual([one.service_task_id for one in instances if one.instance_id == cache], [task])
        self.assertEqual(self.follow(cache, task).status, "SUCCESS")
        progress = self.progress(cache, task)
        self.assertEqual((progress.progress, progress.remain_time), (100, 0))
        self.assertEqual({step.step_status for step in progress.step_details}, {"FINISH"})

        after = self.versions(cache)
        self.assertEqual(after.engine_minor_version, offer.latest_engine_minor_version)
        self.assertEqual(after.proxy_minor_version, offer.latest_proxy_minor_version)
        self.assertFalse(after.engine_minor_version_upgradable or after.proxy_minor_version_upgradable)
        self.assertEqual(self.refusal(lambda: self.upgrade(cache, engine_minor_version="latest"))[1], "4053")

    def test_upgrade_to_an_explicit_version(self):
        cache = clouds.take("dcs")["id"]
        latest = self.versions(cache).latest_engine_minor_version
        self.assertEqual(self.follow(cache, self.upgrade(cache, engine_minor_version=latest)).status, "SUCCESS")
        self.assertEqual(self.versions(cache).engine_minor_version, latest)

    def test_a_failed_upgrade(self):
        cache = clouds.take("dcs", "rolls-back")["id"]
        before = self.versions(cache).engine_minor_version
        task = self.upgrade(cache, engine_minor_version="latest")
        self.assertIn(self.follow(cache, task).status, ("FAIL", "FAILED"))
        failed = [step for step in self.progress(cache, task).step_details if step.step_status == "FAILED"]
        self.assertEqual(len(failed), 1)
        self.assertTrue(failed[0].error_code)
        self.assertEqual(self.versions(cache).engine_minor_version, before)
        self.assertEqual(self.read(cache).status, "RUNNING")

    def test_list_in_pages(self):
        found, total, offset = [], None, 0
        while total is None or offset < total:
            page = self.call("list_instances", v2.ListInstancesRequest(offset=offset, limit=4))
            total = page.instance_num
            found += [cache.instance_id for cache in page.instances]
            offset += 4
        self.assertEqual(len(found), total)
        self.assertEqual(set(found), clouds.all_of("dcs"))

    def test_refusals(self):
        cache = clouds.take("dcs")["id"]
        self.assertEqual(self.refusal(lambda: self.read("no-such-cache")), (404, "3022"))
        self.assertEqual(self.refusal(lambda: self.upgrade(cache)), (400, "4004"))
        self.assertEqual(self.refusal(lambda: self.upgrade(cache, engine_minor_version="0.0.1")), (400, "4063"))
        self.upgrade(cache, engine_minor_version="latest")
        clouds.ASKED_WHILE_RUNNING.add(cache)
        self.assertEqual(
            self.refusal(lambda: self.upgrade(cache, engine_minor_version="latest")), (400, "4116")
        )

    def test_temporary_keys(self):
        self.client = clouds.huawei(v2.DcsClient, "huaweiTemporary")
        cache = clouds.take("dcs")["id"]
        self.assertEqual(self.read(cache).instance_id, cache)

    def refusal(self, call):
        """Status and number: `DCS.4116` was called `111400116` once, and still is in places."""
        with self.assertRaises(ClientRequestException) as caught:
            call()
        code = caught.exception.error_code
        self.assertRegex(code, r"^(DCS\.\d{4}|111400\d{3})$")
        return caught.exception.status_code, code[4:] if code.startswith("DCS.") else f"4{code[6:]}"
