/** Signs requests as Uplift does: reads a JSON array of them from stdin, writes the signed headers as another. */
import { text } from 'node:stream/consumers';
import { signAlibaba } from '../../dist/activities/clouds/alibaba/signer.js';
import { encodePath, encodeQuery } from '../../dist/activities/clouds/encode.js';
import { signHuawei } from '../../dist/activities/clouds/huawei/signer.js';

const signed = JSON.parse(await text(process.stdin)).map(
  ({ cloud, method, host, segments, query, headers, body, keys, now, nonce }) => {
    const request = { method, host, path: encodePath(segments), query: encodeQuery(query), headers, body };
    const signedHeaders = cloud === 'huawei' ? signHuawei(request, keys, now) : signAlibaba(request, keys, now, nonce);
    return { path: request.path, query: request.query, headers: signedHeaders };
  },
);
process.stdout.write(JSON.stringify(signed));
