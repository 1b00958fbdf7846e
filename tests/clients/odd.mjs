// Requests that no client should send: random pieces of header fields, queries
// and ids.  Each is answered, by a status of the interface; whoever was given
// a job has one, and nobody else made one.

import assert from 'node:assert/strict';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { Backend, Nginx, slow, status, until, within } from './server.mjs';

const seed = Number(process.env.NGX_ASYNC_SEED ?? Date.now() % 1000000);
const requests = 4000 / slow;

let backend, nginx, state = seed || 1;


before(async () => {
    backend = await Backend.start();
    nginx = await Nginx.start({
        workers: 2,
        http: `
            async_queue wide concurrency=500 backlog=100000;
            large_client_header_buffers 8 32k;
        `,
        locations: `
            async_priority $http_priority;
            async_wait_max 1s;

            location / {
                async on queue=wide;
                proxy_pass ${backend.url};
            }

            location /prefer/ {
                async prefer queue=wide;
                proxy_pass ${backend.url};
            }
        `,
        jobs: 'location /jobs/ { async_jobs; async_jobs_list all; }',
    });
});

after(async () => {
    await nginx.stop();
    await backend.stop();
});


// xorshift: the same requests for the same seed

function random(n) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;

    return (state >>> 0) % n;
}

const pick = list => list[random(list.length)];


// what is special in one of the fields, and some that is not; no line breaks

const pieces = [
    'respond-async', 'Respond-Async', 'wait=0', 'wait=1', 'wait', 'wait=-1',
    'wait=99999999999999999999', 'wait="0"', 'handling=lenient', 'u=0', 'u=7',
    'u=8', 'i', 'u=', '"', '\\', '\\"', '"\\', ',', ';', '=', ' ', '\t', '&',
    '%', '%00', '%2f', '/', '?', '#', '..', '*', '(', ')', '\x01', '\x7f',
    '\x80', '\xff', '\xc3\xa9', '\xe2\x82', 'null', '0', '1', '-', '4294967296',
    '01981f3e-7a5c-7cc3-98c4-dc0c0c07398f', '01981f3e', 'status=failed',
    'limit=0', 'limit=1', 'limit=99999999999999999999', 'cursor=', 'queue=',
    'wait=1&', 'n=1', 'n=2147483647', 'a'.repeat(300), '-'.repeat(36),
    'x'.repeat(5000),
];

const some = max => Array.from({ length: random(max) }, () => pick(pieces))
    .join('');

const inUri = text => text.replaceAll(/[^!$-~]|#/g, '%20');


function build(known) {
    const id = random(3) ? pick(known)
                         : pick(['01981f3e-7a5c-7cc3-98c4-dc0c0c07398f',
                                 inUri(some(3))]);

    const uri = pick([
        '/a', '/a', '/prefer/a', '/jobs/', `/jobs/${id}`, `/jobs/${id}/result`,
        `/jobs/${id}/wait`, `/jobs/${id}/events`, `/jobs/${id}/cancel`,
        `/jobs/${id}/retry`, `/jobs/${inUri(some(3))}`,
    ]);

    const query = random(2) ? '' : `?${inUri(some(6))}`;

    const method = pick(['GET', 'GET', 'GET', 'POST', 'POST', 'PUT', 'DELETE',
                         'PATCH', 'PROPFIND', 'HEAD', 'OPTIONS']);

    const fields = ['Host: localhost', 'Connection: close'];

    for (const name of ['Prefer', 'Prefer', 'Idempotency-Key', 'Last-Event-ID',
                        'Priority', 'Accept', 'If-None-Match', 'Range',
                        'If-Range', 'Sec-Fetch-Mode', 'Sec-Fetch-Site',
                        'Authorization', 'X-Other'])
    {
        if (!random(3)) {
            fields.push(`${name}: ${some(5)}`);
        }
    }

    const body = ['POST', 'PUT', 'PATCH'].includes(method) ? 'x' : '';

    if (body) {
        fields.push('Content-Length: 1');
    }

    return `${method} ${uri}${query} HTTP/1.1\r\n${fields.join('\r\n')}`
           + `\r\n\r\n${body}`;
}


// to the end of the connection; a stream of events is not waited for

function send(text) {
    return within(JSON.stringify(text), new Promise((resolve, reject) => {
        const socket = net.connect({ port: nginx.port, host: '127.0.0.1' });
        let answer = '';

        socket.on('connect', () => socket.write(text, 'latin1'));
        socket.on('error', reject);
        socket.on('close', () => resolve(answer));
        socket.on('data', data => {
            answer += data.toString('latin1');

            if (/^content-type: text\/event-stream/im.test(answer)) {
                socket.destroy();
            }
        });
    }), 30);
}


const allowed = new Set([200, 202, 204, 206, 303, 304, 400, 403, 404, 405, 409,
                         412, 414, 416, 422]);


test(`${requests} odd requests, NGX_ASYNC_SEED=${seed}`, async () => {
    const known = ['01981f3e-7a5c-7cc3-98c4-dc0c0c07398f'];
    const ids = new Set();
    let left = requests;

    await Promise.all(Array.from({ length: 20 }, async () => {

        while (left-- > 0) {
            const text = build(known);
            const answer = await send(text);
            const code = Number(answer.match(/^HTTP\/1\.1 (\d+)/)?.[1]);

            assert.ok(allowed.has(code),
                      `${JSON.stringify(text)} gives ${answer}`);

            const head = answer.slice(0, answer.indexOf('\r\n\r\n'));
            const names = head.split('\r\n').slice(1)
                .map(line => line.split(':')[0].toLowerCase());

            // none of the module's fields twice

            for (const name of ['location', 'content-location', 'async-id',
                                'operation-location', 'cache-control',
                                'retry-after', 'asyncresult', 'async-status'])
            {
                assert.ok(names.filter(n => n === name).length <= 1,
                          `${JSON.stringify(text)} gives ${answer}`);
            }

            const id = head.match(/^Async-Id: (\S+)$/im)?.[1];

            if (id) {
                ids.add(id);
                known.push(id);
            }
        }
    }));

    // all jobs that there are were promised (some of those that were are
    // deleted by now), and they end: the backend itself refuses some

    const listed = new Set();
    let next = `${nginx.url}/jobs/?limit=1000`;

    while (next) {
        const page = await (await fetch(next)).json();
        page.jobs.forEach(job => listed.add(job.id));
        next = page.next;
    }

    assert.deepEqual([...listed].filter(id => !ids.has(id)), []);
    assert.ok(listed.size > 100 / slow, `${listed.size} jobs`);

    for (const id of listed) {
        await until(`${id} ends`, async () => {
            const { status: now, error } = await status(
                `${nginx.url}/jobs/${id}`);

            return now === 'succeeded' || now === 'canceled'
                   || error?.code === 'http_400';
        });
    }
});
