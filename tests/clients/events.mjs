// Server-sent events: the EventSource of npm.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Backend, Nginx, job, load, status, until, within }
    from './server.mjs';

const { EventSource } = load('eventsource');

let backend, nginx;


before(async () => {
    backend = await Backend.start();
    nginx = await Nginx.start({
        workers: 2,
        http: 'async_queue single concurrency=1;',
        locations: `
            location / { async on; proxy_pass ${backend.url}; }

            location /single/ {
                async on queue=single;
                proxy_pass ${backend.url};
            }
        `,
    });
});

after(async () => {
    await nginx.stop();
    await backend.stop();
});


// an EventSource that notes what it was sent, and with what it asked

function source(url, headers = {}) {
    const seen = { status: [], progress: [], ids: [], asked: [], answers: [],
                   errors: [] };

    const events = new EventSource(url, {
        fetch: async (input, init) => {
            seen.asked.push(init.headers['Last-Event-ID']);

            const response = await fetch(input, {
                ...init, headers: { ...init.headers, ...headers },
            });

            seen.answers.push(response);
            return response;
        },
    });

    events.addEventListener('status', event => {
        seen.status.push(JSON.parse(event.data));
        seen.ids.push(event.lastEventId);
    });

    events.addEventListener('progress', event => {
        seen.progress.push(JSON.parse(event.data));
    });

    events.addEventListener('error', event => {
        seen.errors.push(event.code);
    });

    seen.states = () => seen.status.map(document => document.status);
    seen.events = events;
    seen.closed = () => events.readyState === EventSource.CLOSED;

    return seen;
}


async function submit(gate, options = {}, uri = '/a') {
    return job(await fetch(`${nginx.url}${uri}?gate=${gate}`,
                           { method: 'POST', body: 'x', ...options }));
}


describe('EventSource', { concurrency: true }, () => {

    test('status events until the end, then 204 to the reconnect',
         async () => {
        const { url } = await submit('a');
        await backend.arrived('a');

        const seen = source(`${url}/events`);
        await until('running', () => seen.states().at(-1) === 'running');

        backend.answer('a');

        await until('the source is closed', seen.closed, 30);

        assert.equal(seen.states().at(-1), 'succeeded');
        assert.equal(seen.states().filter(s => s === 'succeeded').length, 1);
        assert.deepEqual(seen.answers.map(r => r.status), [200, 204]);
        assert.deepEqual(seen.asked, [undefined, seen.ids.at(-1)]);
        assert.deepEqual(await status(url), seen.status.at(-1));

        const { headers } = seen.answers[0];
        assert.equal(headers.get('content-type').split(';')[0],
                     'text/event-stream');
        assert.equal(headers.get('cache-control'), 'no-store');
    });


    test('every change of a queued job', async () => {
        const first = await submit('q1', {}, '/single/');
        await backend.arrived('q1');

        const second = await submit('q2', {}, '/single/');
        const seen = source(`${second.url}/events`);

        await until('queued', () => seen.states().includes('notStarted'));
        assert.equal(seen.status[0].position, 1);

        backend.answer('q1');
        await until('running', () => seen.states().includes('running'));

        backend.answer('q2');
        await until('closed', seen.closed, 30);

        assert.deepEqual([...new Set(seen.states())],
                         ['notStarted', 'running', 'succeeded']);
        assert.equal(new Set(seen.ids).size, seen.ids.length);
        assert.equal((await status(first.url)).status, 'succeeded');
    });


    test('a finished job tells its end once', async () => {
        backend.answer('b', { status: 404, body: 'none' });

        const { url } = await submit('b');
        await until('the end',
                    async () => (await status(url)).status === 'failed');

        const seen = source(`${url}/events`);
        await until('closed', seen.closed, 30);

        assert.deepEqual(seen.states(), ['failed']);
        assert.equal(seen.status[0].error.code, 'http_404');
        assert.ok(seen.status[0].error.message);
    });


    test('a canceled job', async () => {
        const { url } = await submit('c');
        await backend.arrived('c');

        const seen = source(`${url}/events`);
        await until('running', () => seen.states().includes('running'));

        await fetch(url, { method: 'DELETE' });
        await until('closed', seen.closed, 30);

        assert.equal(seen.states().at(-1), 'canceled');
    });


    test('progress while bytes arrive', async () => {
        const { url } = await submit('d');
        const { response } = await backend.arrived('d');

        const seen = source(`${url}/events`);
        await until('running', () => seen.states().includes('running'));

        // nginx reads an upstream's response buffer by buffer

        const half = 'x'.repeat(100000);
        const received = n => seen.progress.some(
            p => p.bytes_received >= n && p.bytes_total === 200000);

        response.writeHead(200, { 'Content-Length': 200000 });
        response.write(half);
        await until('the first half', () => received(50000));

        response.end(half);
        await until('closed', seen.closed, 30);

        assert.equal(seen.states().at(-1), 'succeeded');
    });


    test('an absent job is an error, not a stream', async () => {
        const seen = source(
            `${nginx.url}/jobs/01981f3e-7a5c-7cc3-98c4-dc0c0c07398f/events`);

        await until('closed', seen.closed);
        assert.deepEqual(seen.errors, [404]);
    });


    test('many sources of one job, in both workers', async () => {
        const { url } = await submit('e');
        await backend.arrived('e');

        const all = Array.from({ length: 40 },
                               () => source(`${url}/events`));

        await until('all are connected',
                    () => all.every(seen => seen.status.length > 0));

        backend.answer('e');

        await until('all are closed', () => all.every(seen => seen.closed()),
                    30);

        for (const seen of all) {
            assert.equal(seen.states().at(-1), 'succeeded');
        }
    });


    // by hand: what is on the wire

    test('the wire: retry: and ids', async () => {
        const { url } = await submit('f');
        await backend.arrived('f');

        const response = await fetch(`${url}/events`);
        const decoder = new TextDecoder();
        let text = '';

        const reading = (async () => {
            for await (const chunk of response.body) {
                text += decoder.decode(chunk, { stream: true });
            }
        })();

        await until('an event', () => text.includes('event: status'));
        backend.answer('f');
        await within('the stream ends', reading);

        assert.match(text, /^retry: \d+$/m);
        assert.match(text, /^id: \d+$/m);

        const id = text.match(/^id: (\d+)$/mg).at(-1).slice(4);

        const again = async value => (await fetch(`${url}/events`, {
            headers: { 'Last-Event-ID': value },
        })).status;

        assert.equal(await again(id), 204);
        assert.equal(await again('0'), 200);

        // what is no id of this job tells the state

        for (const odd of ['', 'x', '-1', '99999999999999999999999', '1 1']) {
            assert.equal(await again(odd), 200, `Last-Event-ID: ${odd}`);
        }
    });
});


// The restarted nginx runs a PUT again: all that a client has missed is told
// when it is back.

test('EventSource comes back to a restarted nginx', async () => {
    const { url } = await submit('g', { method: 'PUT' });
    await backend.arrived('g');

    const seen = source(`${url}/events`);
    await until('running', () => seen.states().includes('running'));

    await nginx.restart();

    await until('the call is repeated', () => backend.of('g').length === 2);
    backend.answer('g');

    await until('the end', () => seen.states().includes('succeeded'), 30);
    await until('closed', seen.closed, 30);

    assert.equal(seen.answers.at(-1).status, 204);
    assert.equal(seen.asked.at(-1), seen.ids.at(-1));
    assert.equal(seen.states().filter(s => s === 'succeeded').length, 1);
});
