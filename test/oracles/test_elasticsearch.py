"""Alibaba Cloud's own Elasticsearch client upgrades simulated clusters."""

import unittest

from alibabacloud_elasticsearch20170613 import models
from alibabacloud_tea_openapi.exceptions import ClientException

import clouds
import fields


class Elasticsearch(unittest.TestCase):
    def setUp(self):
        self.client = clouds.alibaba()

    def call(self, method, cluster, *request):
        return fields.elasticsearch(self.client, method, cluster, *request)

    def read(self, cluster):
        return self.call("describe_instance", cluster).result

    def upgrade(self, cluster, version, **options):
        request = models.UpgradeEngineVersionRequest(version=version, type="engineVersion", **options)
        return self.call("upgrade_engine_version", cluster, request)

    def records(self, cluster, **filters):
        request = models.ListActionRecordsRequest(page=1, size=10, **filters)
        return self.call("list_action_records", cluster, request).result

    def health(self, cluster):
        return self.call("describe_elasticsearch_health", cluster).result

    def offer(self, cluster):
        return self.call("upgrade_info", cluster).result.upgrade_info

    def follow(self, cluster, request_id):
        read = lambda: self.records(cluster, request_id=request_id)
        return clouds.until(read, lambda records: records[0].state_type != "running")[-1][0]

    def test_upgrade(self):
        cluster = clouds.take("elasticsearch")["id"]
        before = self.read(cluster)
        offer = self.offer(cluster)
        self.assertEqual(before.status, "active")
        self.assertEqual(before.es_version, f"{offer.cur_es_version}_with_X-Pack")
        self.assertTrue(offer.upgrade)
        self.assertEqual(self.health(cluster), "GREEN")

        checks = self.upgrade(cluster, offer.upgrade_es_version, dry_run=True, client_token="dry-run-of-test").result
        self.assertEqual({check.status for check in checks}, {"success"})
        self.assertEqual(self.records(cluster), [])

        token = "submit-of-test"
        accepted = self.upgrade(cluster, offer.upgrade_es_version, dry_run=False, client_token=token)
        repeated = self.upgrade(cluster, offer.upgrade_es_version, dry_run=False, client_token=token)
        self.assertEqual(self.read(cluster).status, "activating")
        record = self.follow(cluster, accepted.request_id)
        self.assertEqual((record.state_type, record.process), ("success", "100%"))
        self.assertEqual(self.records(cluster, request_id=repeated.request_id), [])
        self.assertEqual(len(self.records(cluster)), 1)

        after = self.read(cluster)
        self.assertEqual((after.status, after.es_version), ("active", f"{offer.upgrade_es_version}_with_X-Pack"))
        self.assertEqual(self.offer(cluster).cur_es_version, offer.upgrade_es_version)

    def test_a_kernel_patch(self):
        cluster = clouds.take("elasticsearch")["id"]
        offered = self.offer(cluster).upgrade_apack_version
        request = models.UpgradeEngineVersionRequest(version=f"ali{offered}", type="aliVersion")
        self.follow(cluster, self.call("upgrade_engine_version", cluster, request).request_id)
        self.assertEqual(self.offer(cluster).cur_apack_version, offered)

    def test_a_dry_run_that_finds_something(self):
        cluster = clouds.take("elasticsearch", "precheck-fails")["id"]
        answer = self.upgrade(cluster, self.offer(cluster).upgrade_es_version, dry_run=True)
        failed = [check for check in answer.result if check.status == "failed"]
        self.assertEqual(len(failed), 1)
        [found] = failed[0].validate_result
        self.assertTrue(found.error_code and found.error_type and found.error_msg)

    def test_a_failed_upgrade(self):
        cluster = clouds.take("elasticsearch", "rolls-back")["id"]
        offer = self.offer(cluster)
        record = self.follow(cluster, self.upgrade(cluster, offer.upgrade_es_version).request_id)
        self.assertEqual(record.state_type, "failed")
        self.assertTrue(record.status_info[0].exception)
        self.assertEqual(self.offer(cluster).cur_es_version, offer.cur_es_version)

    def test_list_in_pages(self):
        found, total, page = [], None, 1
        while total is None or len(found) < total:
            answer = self.call("list_instance", None, models.ListInstanceRequest(page=page, size=5))
            total = answer.headers.x_total_count
            found += [cluster.instance_id for cluster in answer.result]
            page += 1
        self.assertEqual(len(found), total)
        self.assertEqual(set(found), clouds.all_of("elasticsearch"))

    def test_refusals(self):
        cluster = clouds.take("elasticsearch")["id"]
        self.assertEqual(self.refusal(lambda: self.read("es-cn-none")), (400, "InstanceNotFound"))
        self.assertEqual(self.refusal(lambda: self.health("es-cn-none")), (400, "InstanceNotFound"))
        offer = self.offer(cluster)
        self.assertEqual(
            self.refusal(lambda: self.upgrade(cluster, offer.cur_es_version)), (400, "RepetitionOperationError")
        )
        self.upgrade(cluster, offer.upgrade_es_version)
        clouds.ASKED_WHILE_RUNNING.add(cluster)
        self.assertEqual(
            self.refusal(lambda: self.upgrade(cluster, offer.upgrade_es_version)), (400, "InstanceActivating")
        )

    def test_temporary_keys(self):
        self.client = clouds.alibaba("alibabaTemporary")
        cluster = clouds.take("elasticsearch")["id"]
        self.assertEqual(self.read(cluster).instance_id, cluster)

    def refusal(self, call):
        with self.assertRaises(ClientException) as caught:
            call()
        return caught.exception.status_code, caught.exception.code
