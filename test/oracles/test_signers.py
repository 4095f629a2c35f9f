"""Uplift's signers against the vendors' own, over random requests."""

import hashlib
import json
import random
import subprocess
import unittest
import urllib.parse

from alibabacloud_tea_openapi.utils import Utils
from alibabacloud_tea_openapi.utils_models import OpenApiRequest
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

import clouds

ROUNDS = 500
SEED = 20261121
# Everything that encodings differ about. Huawei's signer decodes a path before it splits it: no slash and no percent.
PATH = "abcXYZ0189-_.~!*()+$,;:@&= 'ä图😀"
QUERY = PATH + "/?#%\"<|\\"


def _requests(cloud: str) -> list[dict]:
    chance = random.Random(f"{SEED}/{cloud}")

    def text(alphabet: str, longest: int) -> str:
        return "".join(chance.choices(alphabet, k=chance.randint(1, longest)))

    def one(number: int) -> dict:
        query = {text("abAB19-_.", 6): text(QUERY, 12) for _ in range(chance.randrange(6))}
        if chance.random() < 0.25:
            query["empty"] = ""
        body = "" if chance.random() < 0.5 else json.dumps({"version": text(QUERY, 20)}, ensure_ascii=False)
        headers = {"content-type": "application/json"}
        if cloud == "alibaba":
            headers |= {"accept": "application/json", "x-acs-action": "Any", "x-acs-version": "2017-06-13"}
        elif chance.random() < 0.5:
            headers["x-project-id"] = text("abc012", 30)
        return {
            "cloud": cloud,
            "method": chance.choice(["GET", "POST", "PUT"]),
            "host": f"{text('abc', 5)}.example.com",
            "segments": ["v1.0", *(f"s{text(PATH, 10)}" for _ in range(chance.randint(1, 5)))],
            "query": query,
            "headers": headers,
            "body": body,
            "keys": {
                "accessKey": text("ABCDEF0123", 20),
                "secretKey": text("abcdef/+=0123", 40),
                "securityToken": text("abcdef/+=0123", 90) if chance.random() < 0.5 else None,
            },
            "now": chance.randrange(1_767_225_600_000, 1_798_761_600_000),
            "nonce": f"nonce-{number}",
        }

    return [one(number) for number in range(ROUNDS)]


def _signed_by_us(requests: list[dict]) -> list[dict]:
    done = subprocess.run(
        ["node", str(clouds.HERE / "sign.mjs")], input=json.dumps(requests), capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout)


class Signers(unittest.TestCase):
    def test_huawei(self):
        requests = _requests("huawei")
        for number, (request, ours) in enumerate(zip(requests, _signed_by_us(requests), strict=True)):
            headers = {name: value for name, value in ours["headers"].items() if name != "authorization"}
            keys = request["keys"]
            signer = Signer(BasicCredentials(keys["accessKey"], keys["secretKey"], "project"))
            theirs = signer.sign(
                SdkRequest(
                    method=request["method"],
                    schema="https",
                    host=request["host"],
                    resource_path="/" + "/".join(request["segments"]),
                    query_params=list(request["query"].items()),
                    header_params=headers,
                    body=request["body"],
                )
            )
            with self.subTest(round=number):
                self.assertEqual(ours["headers"]["authorization"], theirs.header_params["Authorization"])
                self.assertEqual(ours["headers"].get("x-security-token"), keys["securityToken"])
                self.assertEqual(ours["query"], theirs.uri.partition("?")[2] if "?" in theirs.uri else "")
        print(f"Huawei: {len(requests)} random requests signed alike")

    def test_alibaba(self):
        requests = _requests("alibaba")
        for number, (request, ours) in enumerate(zip(requests, _signed_by_us(requests), strict=True)):
            # Alibaba's signer signs what it is given; the algorithm wants host, content-type and x-acs-* only.
            names = ours["headers"]["authorization"].split("SignedHeaders=")[1].split(",")[0].split(";")
            headers = {name: ours["headers"][name] for name in names}
            keys = request["keys"]
            payload = hashlib.sha256(request["body"].encode()).hexdigest()
            signed = OpenApiRequest(headers=headers, query=request["query"])
            signed.method = request["method"]
            signed.pathname = "/" + "/".join(Utils.get_encode_param(segment) for segment in request["segments"])
            theirs = Utils.get_authorization(
                signed, "ACS3-HMAC-SHA256", payload, keys["accessKey"], keys["secretKey"]
            )
            with self.subTest(round=number):
                self.assertEqual(ours["path"], signed.pathname)
                self.assertEqual(ours["headers"]["authorization"], theirs)
                self.assertEqual(set(ours["headers"]) - set(names), {"accept", "authorization"})
                self.assertEqual(ours["headers"]["x-acs-content-sha256"], payload)
                self.assertEqual(ours["headers"].get("x-acs-security-token"), keys["securityToken"])
        print(f"Alibaba: {len(requests)} random requests signed alike")
