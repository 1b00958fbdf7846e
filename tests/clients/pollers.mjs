// Pollers as two specifications describe them, written from these alone:
//
//   OData 4.01 Protocol, 11.6 Asynchronous Requests
//   FHIR R4, Asynchronous Request Patterns (kick-off, status, complete)

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Backend, Nginx, status, until } from './server.mjs';

let backend, nginx;

const hops = 60;


before(async () => {
    backend = await Backend.start();
    nginx = await Nginx.start({
        http: 'async_queue single concurrency=1;',
        locations: `
            location /odata/ {
                async prefer;
                async_jobs_uri /async/;
                proxy_pass ${backend.url};
            }

            location /async/ {
                async_jobs;
                async_result_status 200;
            }

            location /fhir/ {
                async prefer;
                async_jobs_uri /jobs/;
                proxy_pass ${backend.url};
            }

            location /queued/ {
                async prefer queue=single;
                async_jobs_uri /jobs/;
                proxy_pass ${backend.url};
            }
        `,
    });
});

after(async () => {
    await nginx.stop();
    await backend.stop();
});


// at most as long as the server says, and never for long in a test

function pause(response) {
    const seconds = Number(response.headers.get('retry-after'));

    assert.ok(Number.isInteger(seconds) && seconds >= 1 && seconds <= 60);

    return new Promise(resolve => {
        setTimeout(resolve, Math.min(seconds * 1000, 300));
    });
}


describe('OData', { concurrency: true }, () => {

    // 11.6: the result of the status monitor resource, with AsyncResult
    // "the final HTTP response status code" and the response's own headers

    async function request(uri, options = {}, onPending) {
        const { headers, ...rest } = options;

        const first = await fetch(nginx.url + uri, {
            ...rest,
            headers: { Prefer: 'respond-async', 'OData-MaxVersion': '4.01',
                       ...headers },
        });

        if (first.status !== 202) {
            return { response: first, monitor: null };
        }

        assert.equal(first.headers.get('preference-applied'),
                     'respond-async');

        const monitor = first.headers.get('location');
        assert.ok(monitor, 'the 202 has a Location');

        let response = first;

        for (let i = 0; i < hops; i++) {
            await pause(response);
            await onPending?.(monitor, i);

            response = await fetch(response.headers.get('location'),
                                   { redirect: 'error' });

            if (response.status !== 202) {
                return { response, monitor };
            }

            assert.ok(response.headers.get('location'),
                      'a pending answer has a Location');
        }

        throw new Error('it never ends');
    }


    test('a request that succeeds', async () => {
        const { response, monitor } = await request('/odata/Sales?gate=o1', {
            method: 'POST', body: '{"Year":2024}',
            headers: { 'Content-Type': 'application/json' },
        }, (url, i) => {
            if (i === 2) {
                backend.answer('o1', {
                    status: 201,
                    headers: { 'Content-Type': 'application/json',
                               'OData-Version': '4.01',
                               'OData-EntityId': 'Sales(1)' },
                    body: '{"ID":1}',
                });
            }
        });

        assert.equal(response.status, 200);
        assert.equal(response.headers.get('asyncresult'), '201');
        assert.equal(response.headers.get('odata-version'), '4.01');
        assert.equal(response.headers.get('odata-entityid'), 'Sales(1)');
        assert.deepEqual(await response.json(), { ID: 1 });

        // as often as it likes

        const again = await fetch(monitor);
        assert.equal(again.headers.get('asyncresult'), '201');

        // what the backend got: the preference is met, and not passed on

        const got = backend.of('o1')[0];
        assert.equal(got.headers.prefer, undefined);
        assert.equal(got.headers['odata-maxversion'], '4.01');
        assert.equal(got.body, '{"Year":2024}');
    });


    test('a request that fails', async () => {
        backend.answer('o2', {
            status: 400, headers: { 'Content-Type': 'application/json' },
            body: '{"error":{"code":"Bad","message":"No such year."}}',
        });

        const { response } = await request('/odata/Sales?gate=o2');

        assert.equal(response.status, 200);
        assert.equal(response.headers.get('asyncresult'), '400');
        assert.equal((await response.json()).error.code, 'Bad');
    });


    test('a call without a response', async () => {
        const { response } = await request('/odata/Sales?gate=o3',
            { method: 'POST' }, async () => {
                (await backend.arrived('o3')).response.destroy();
            });

        assert.equal(response.status, 200);
        assert.equal(response.headers.get('asyncresult'), '502');
        assert.ok((await response.text()).length > 0);
    });


    test('204 No Content', async () => {
        backend.answer('o4', { status: 204, headers: {}, body: '' });

        const { response } = await request('/odata/Sales(1)?gate=o4',
                                           { method: 'DELETE' });

        assert.equal(response.status, 200);
        assert.equal(response.headers.get('asyncresult'), '204');
        assert.equal(await response.text(), '');
    });


    // "a DELETE request to the status monitor resource": canceled

    test('a request that is canceled', async () => {
        let deleted;

        const { response, monitor } = await request('/odata/Sales?gate=o5',
            {}, async url => {
                if (deleted === undefined) {
                    await backend.arrived('o5');
                    deleted = await fetch(url, { method: 'DELETE' });
                }
            });

        assert.ok([200, 202, 204].includes(deleted.status));
        assert.equal(response.status, 404);
        await until('the call is aborted', () => backend.of('o5')[0].closed);

        // and gone for good

        assert.equal((await fetch(monitor, { method: 'DELETE' })).status, 204);
        assert.equal((await fetch(monitor)).status, 404);
    });


    test('respond-async, wait: a quick one is answered at once', async () => {
        const { response, monitor } = await request('/odata/Sales', {
            headers: { Prefer: 'respond-async, wait=10' },
        });

        assert.equal(monitor, null);
        assert.equal(response.status, 200);
        assert.equal(await response.text(), 'GET ');
    });


    test('without the preference nothing changes', async () => {
        const response = await fetch(`${nginx.url}/odata/Plain`, {
            headers: { Prefer: 'return=minimal' },
        });

        assert.equal(response.status, 200);
        assert.equal(response.headers.get('async-id'), null);

        const got = backend.requests.find(({ url }) => url === '/odata/Plain');
        assert.equal(got.headers.prefer, 'return=minimal');
    });


    test('other preferences go to the backend', async () => {
        const { response } = await request('/odata/Sales', {
            headers: {
                Prefer: 'return=minimal, respond-async, odata.maxpagesize=9',
            },
        });

        assert.equal(response.status, 200);
        assert.ok(backend.requests.some(
            got => /^return=minimal, ?odata\.maxpagesize=9$/.test(
                got.headers.prefer)));
    });
});


describe('FHIR', { concurrency: true }, () => {

    async function kickOff(uri) {
        const response = await fetch(nginx.url + uri, {
            headers: { Accept: 'application/fhir+json',
                       Prefer: 'respond-async' },
        });

        assert.equal(response.status, 202);

        const url = response.headers.get('content-location');
        assert.match(url, /^http:\/\/[^/]+\/jobs\//, 'an absolute URL');

        return url;
    }


    // 202 with X-Progress while in progress, 200 with the complete body, a
    // 4xx or 5xx for an error

    async function poll(url, onPending) {
        const progress = [];

        for (let i = 0; i < hops; i++) {
            const response = await fetch(url, {
                headers: { Accept: 'application/json' }, redirect: 'error',
            });

            if (response.status !== 202) {
                return { response, progress };
            }

            const text = response.headers.get('x-progress');

            assert.ok(text && text.length <= 100, `X-Progress: ${text}`);
            progress.push(text);

            await onPending?.(i);
            await pause(response);
        }

        throw new Error('it never ends');
    }


    test('an export that completes', async () => {
        const url = await kickOff('/fhir/Patient/$export?gate=f1');

        const { response, progress } = await poll(url, async i => {
            const { response } = await backend.arrived('f1');

            if (i === 1) {
                response.writeHead(200, {
                    'Content-Type': 'application/json',
                    'Content-Length': 200000,
                    'Expires': 'Thu, 01 Jan 2099 00:00:00 GMT',
                });
                response.write('{"output":"'.padEnd(100000, 'x'));

            } else if (i === 3) {
                response.end('"}'.padStart(100000, 'x'));
            }
        });

        assert.equal(response.status, 200);
        assert.equal(response.headers.get('content-type'),
                     'application/json');
        assert.equal((await response.json()).output.length, 199987);

        assert.ok(progress.length >= 4);
        assert.ok(progress.includes('running'), progress.join());
        assert.ok(progress.some(
            text => /^running, \d+ of 200000 bytes received$/.test(text)),
            progress.join());
    });


    test('an export that fails', async () => {
        backend.answer('f2', {
            status: 500,
            headers: { 'Content-Type': 'application/fhir+json' },
            body: '{"resourceType":"OperationOutcome"}',
        });

        const { response } = await poll(
            await kickOff('/fhir/Patient/$export?gate=f2'));

        assert.equal(response.status, 500);
        assert.equal((await response.json()).resourceType,
                     'OperationOutcome');
    });


    test('one that waits in a queue', async () => {
        const first = await kickOff('/queued/$export?gate=f3');
        await backend.arrived('f3');

        const second = await kickOff('/queued/$export?gate=f4');

        const { response, progress } = await poll(second, i => {
            if (i === 1) {
                backend.answer('f3');
                backend.answer('f4');
            }
        });

        assert.equal(response.status, 200);
        assert.equal(progress[0], 'queued, position 1');
        assert.equal((await fetch(first)).status, 200);
    });


    // "DELETE to the polling endpoint": 202, then 404

    test('one that is deleted', async () => {
        const url = await kickOff('/fhir/Patient/$export?gate=f5');
        const call = await backend.arrived('f5');

        const deleted = await fetch(url, { method: 'DELETE' });
        assert.equal(deleted.status, 202);

        const { response } = await poll(url);

        assert.equal(response.status, 404);
        await until('the call is aborted', () => call.closed);

        const document = await status(url.replace(/\/result$/, ''));
        assert.equal(document.status, 'canceled');
    });
});
