"""Huawei's own clients of both GES APIs upgrade simulated graphs."""

import unittest

from huaweicloudsdkcore.exceptions.exceptions import ClientRequestException
from huaweicloudsdkges import v1, v2

import clouds
import fields

TARGET = "2.4.4"


class Graphs:
    """One journey, in the two APIs' languages."""

    def read(self, graph: str):
        raise NotImplementedError

    def test_upgrade(self):
        graph = clouds.take("ges")
        before = self.read(graph["id"])
        self.assertEqual((before.id, before.status), (graph["id"], "200"))
        self.assertEqual(before.data_store_version, graph["version"])

        job_id = self.submit(graph["id"], TARGET)
        self.assertGreater(len(job_id), 36)
        self.assertEqual(self.read(graph["id"]).status, "201")
        jobs = clouds.until(lambda: self.job(graph["id"], job_id), lambda job: job.status not in ("pending", "running"))
        self.assertEqual((jobs[-1].job_id, jobs[-1].status, jobs[-1].related_graph), (job_id, "success", graph["name"]))
        self.assertIn(job_id, [job.job_id for job in self.jobs(graph["name"], "success")])

        after = self.read(graph["id"])
        self.assertEqual((after.status, after.data_store_version), ("200", TARGET))

    def test_a_failed_upgrade_goes_back_by_itself(self):
        graph = clouds.take("ges", "rolls-back")
        job_id = self.submit(graph["id"], TARGET)
        statuses = []

        def job():
            statuses.append(self.read(graph["id"]).status)
            return self.job(graph["id"], job_id)

        jobs = clouds.until(job, lambda job: job.status == "failed")
        self.assertTrue(jobs[-1].fail_reason)
        self.assertIn("203", statuses)
        self.assertEqual([job.fail_reason for job in self.jobs(graph["name"], "failed")], [jobs[-1].fail_reason])
        after = self.read(graph["id"])
        self.assertEqual((after.status, after.data_store_version), ("200", graph["version"]))

    def test_list_in_pages(self):
        found, total, offset = [], None, 0
        while total is None or offset < total:
            page = self.list(offset, 4)
            total = page.graph_count
            found += [graph.id for graph in page.graphs]
            offset += 4
        self.assertEqual(len(found), total)
        self.assertEqual(set(found), clouds.all_of("ges"))

    def test_refusals(self):
        graph = clouds.take("ges")
        self.assertEqual(self.refusal(lambda: self.read("no-such-graph")), (400, "GES.7000"))
        self.assertEqual(self.refusal(lambda: self.job(graph["id"], "no-such-job")), (400, "GES.7007"))
        self.assertEqual(self.refusal(lambda: self.submit(graph["id"], "1.0.4")), (400, "GES.7036"))
        self.assertEqual(self.refusal(lambda: self.list(0, -1)), (400, "GES.0001"))
        self.submit(graph["id"], TARGET)
        clouds.ASKED_WHILE_RUNNING.add(graph["id"])
        self.assertEqual(self.refusal(lambda: self.submit(graph["id"], TARGET)), (400, "GES.7001"))

    def test_a_graph_that_is_being_created(self):
        [graph] = [graph for graph in clouds.simulator("inventory") if graph["status"] == "100"]
        read = self.read(graph["id"])
        self.assertEqual((read.status, read.action_progress), ("100", "40"))
        self.assertEqual(self.refusal(lambda: self.submit(graph["id"], TARGET)), (400, "GES.7042"))

    def test_temporary_keys(self):
        self.client = self.connect("huaweiTemporary")
        graph = clouds.take("ges")
        self.assertEqual(self.read(graph["id"]).id, graph["id"])
        self.assertTrue(self.submit(graph["id"], TARGET))

    def refusal(self, call):
        with self.assertRaises(ClientRequestException) as caught:
            call()
        return caught.exception.status_code, self.code_of(caught.exception)


class V1(Graphs, unittest.TestCase):
    def connect(self, key="huawei"):
        return clouds.huawei(v1.GesClient, key)

    def setUp(self):
        self.client = self.connect()

    def read(self, graph):
        return fields.huawei(self.client, "show_graph", v1.ShowGraphRequest(graph)).graph

    def list(self, offset, limit):
        return fields.huawei(self.client, "list_graphs", v1.ListGraphsRequest(offset=offset, limit=limit))

    def submit(self, graph, version):
        body = v1.UpgradeGraphReq(upgrade_version=version, force_upgrade=False)
        return fields.huawei(self.client, "upgrade_graph", v1.UpgradeGraphRequest(graph, "upgrade", body)).job_id

    def job(self, graph, job):
        return fields.huawei(self.client, "show_job", v1.ShowJobRequest(graph, job))

    def jobs(self, name, status):
        return fields.huawei(self.client, "list_jobs", v1.ListJobsRequest(graph_name=name, status=status)).job_list

    def code_of(self, error):
        # The client knows no envelope `{errorCode, errorMessage}`: its error holds the body as it came.
        return fields.last_body()["errorCode"]


class V2(Graphs, unittest.TestCase):
    def connect(self, key="huawei"):
        return clouds.huawei(v2.GesClient, key)

    def setUp(self):
        self.client = self.connect()

    def read(self, graph):
        return fields.huawei(self.client, "show_graph2", v2.ShowGraph2Request(graph)).graph

    def list(self, offset, limit):
        return fields.huawei(self.client, "list_graphs2", v2.ListGraphs2Request(offset=offset, limit=limit))

    def submit(self, graph, version):
        body = v2.UpgradeGraphReq(upgrade_version=version, force_upgrade=False)
        return fields.huawei(self.client, "upgrade_graph2", v2.UpgradeGraph2Request(graph, body)).job_id

    def job(self, graph, job):
        return fields.huawei(self.client, "show_job2", v2.ShowJob2Request(graph, job))

    def jobs(self, name, status):
        return fields.huawei(self.client, "list_jobs2", v2.ListJobs2Request(graph_name=name, status=status)).job_list

    def code_of(self, error):
        return error.error_code
