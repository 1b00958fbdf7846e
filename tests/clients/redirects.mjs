// Clients that follow redirects and know nothing else: curl, Node's fetch,
// Python's urllib.

import assert from 'node:assert/strict';
import { fileURLToPath } from 'node:url';
import { after, before, describe, test } from 'node:test';
import { Backend, Nginx, run, until } from './server.mjs';

let backend, nginx;

const urllib = fileURLToPath(new URL('urllib_get.py', import.meta.url));


before(async () => {
    backend = await Backend.start();
    nginx = await Nginx.start({
        workers: 2,
        http: "log_format short '$status $request_uri';",
        locations: `
            access_log access.log short;
            async_wait_max 1s;

            location / {
                async on;
                async_wait 1s redirect;
                proxy_pass ${backend.url};
            }
        `,
    });
});

after(async () => {
    await nginx.stop();
    await backend.stop();
});


// the job takes longer than some hops

async function later(gate, answer, seconds = 3.2) {
    await backend.arrived(gate);
    await new Promise(resolve => setTimeout(resolve, seconds * 1000));
    backend.answer(gate, answer);
}


async function curl(uri, ...args) {
    const { stdout, status, stderr } = await run('curl', [
        '-sS', '--max-time', '50', ...args,
        '-w', '\n%{http_code} %{num_redirects} %{url_effective}',
        nginx.url + uri,
    ]);

    assert.equal(status, 0, stderr);

    const [body, last] = stdout.split(/\n(?=[^\n]*$)/);
    const [code, redirects, url] = last.split(' ');

    return { body, code: Number(code), redirects: Number(redirects), url };
}


describe('redirects', { concurrency: true }, () => {

    const ways = {
        'GET': [[], 'GET '],
        'POST': [['-d', 'data'], 'POST data'],
        'POST, said again': [['-X', 'POST', '-d', 'data'], 'POST data'],
        'PUT': [['-X', 'PUT', '-d', 'data'], 'PUT data'],
        'PUT of a file': [['-T', fileURLToPath(import.meta.url)], null],
        'DELETE': [['-X', 'DELETE'], 'DELETE '],
        'POST, --post303': [['--post303', '-d', 'data'], 'POST data'],
    };

    for (const [name, [args, expected]] of Object.entries(ways)) {

        test(`curl -L: ${name}`, async () => {
            const gate = `curl-${name.replaceAll(/\W/g, '')}`;
            const [response] = await Promise.all([
                curl(`/a?gate=${gate}`, '-L', ...args), later(gate),
            ]);

            assert.equal(response.code, 200);
            assert.ok(response.redirects >= 2, `${response.redirects} hops`);
            assert.match(response.url, /\/wait\?n=\d+$/);
            assert.equal(backend.of(gate).length, 1, 'one call');

            if (expected !== null) {
                assert.equal(response.body, expected);
            }
        });
    }


    test('curl -L: a quick answer has no redirect', async () => {
        const response = await curl('/a', '-L', '-d', 'data');

        assert.deepEqual([response.code, response.redirects, response.body],
                         [200, 0, 'POST data']);
    });


    test('curl -L -f: an error of the upstream', async () => {
        const [{ status }] = await Promise.all([
            run('curl', ['-sSLf', '-d', 'x', `${nginx.url}/a?gate=curl-f`]),
            later('curl-f', { status: 422, body: 'no' }, 1.5),
        ]);

        assert.equal(status, 22);
    });


    test('curl -L -o: a large body', async () => {
        const body = 'x'.repeat(5000000);

        const [{ stdout }] = await Promise.all([
            run('curl', ['-sSL', `${nginx.url}/a?gate=curl-large`]),
            later('curl-large', { body }, 1.5),
        ]);

        assert.ok(stdout === body);
    });


    for (const method of ['GET', 'POST', 'PUT', 'PATCH', 'DELETE']) {

        test(`fetch: ${method}`, async () => {
            const gate = `fetch-${method}`;
            const body = method === 'GET' ? undefined : 'data';

            const [response] = await Promise.all([
                fetch(`${nginx.url}/a?gate=${gate}`, { method, body }),
                later(gate),
            ]);

            assert.equal(response.status, 200);
            assert.equal(response.redirected, true);
            assert.equal(await response.text(), `${method} ${body ?? ''}`);
            assert.equal(backend.of(gate).length, 1, 'one call');
        });
    }


    test('fetch: a client that leaves disturbs nothing', async () => {
        const controller = new AbortController();

        const gone = fetch(`${nginx.url}/a?gate=fetch-gone`, {
            method: 'POST', body: 'data', signal: controller.signal,
            redirect: 'manual',
        });

        await backend.arrived('fetch-gone');

        const location = (await gone).headers.get('location');
        const waiting = fetch(location, { signal: controller.signal });

        waiting.catch(() => {});
        controller.abort();
        await assert.rejects(waiting);

        backend.answer('fetch-gone');

        const response = await fetch(location);
        assert.equal(await response.text(), 'POST data');
    });


    for (const method of ['GET', 'POST']) {

        // it follows 10 redirects, and the same URL 4 times

        test(`urllib: ${method}`, async () => {
            const gate = `urllib-${method}`;
            const body = method === 'GET' ? [] : ['data'];

            const [{ stdout, stderr }] = await Promise.all([
                run('python3', [urllib, `${nginx.url}/a?gate=${gate}`,
                                method, ...body]),
                later(gate, undefined, 6.2),
            ]);

            assert.equal(stdout, `200 ${method} ${body[0] ?? ''}\n`, stderr);
            assert.equal(backend.of(gate).length, 1, 'one call');
        });
    }
});


// Waiting clients of a worker that leaves are sent to the next hop at once, on
// a new connection.

test('a reload in the middle of a hop', async () => {
    const clients = [
        curl('/a?gate=reload', '-L', '-d', 'data'),
        run('python3', [urllib, `${nginx.url}/a?gate=reload`, 'POST', 'data']),
        ...Array.from({ length: 20 }, () =>
            fetch(`${nginx.url}/a?gate=reload`,
                  { method: 'POST', body: 'data' })),
    ];

    await until('all calls', () => backend.of('reload').length === 22);

    // the first answers came after a second: all wait now

    await until('all are redirected', () => nginx.read('access.log')
        .split('\n').filter(line => line === '303 /a?gate=reload')
        .length >= 22);

    const old = nginx.workers();
    process.kill(nginx.pid, 'SIGHUP');

    await until('new workers', () => nginx.workers()
        .filter(pid => !old.includes(pid)).length >= 2);

    backend.answer('reload');

    const [viaCurl, viaPython, ...viaFetch] = await Promise.all(clients);

    assert.equal(viaCurl.body, 'POST data');
    assert.equal(viaPython.stdout, '200 POST data\n');

    for (const response of viaFetch) {
        assert.equal(await response.text(), 'POST data');
    }

    assert.equal(backend.of('reload').length, 22, 'one call each');
});
