// Two workers: whoever waits in one is woken by what ends in the other, and
// many who wait for one job are.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import net from 'node:net';
import { after, before, test } from 'node:test';
import { Backend, Nginx, job, slow, until, within } from './server.mjs';

let backend, nginx;


// as many open files as this process may have, less what else it needs

function limit() {
    const text = fs.readFileSync('/proc/self/limits', 'latin1');
    const [, hard] = text.match(/^Max open files +\S+ +(\S+)/m);

    return hard === 'unlimited' ? Infinity : Number(hard) - 500;
}

const many = Math.min(10000, limit());


before(async () => {
    backend = await Backend.start();
    nginx = await Nginx.start({
        workers: 2,
        connections: many + 1000,
        http: 'async_queue wide concurrency=500;',
        locations: `
            location / {
                async on queue=wide;
                proxy_pass ${backend.url};
            }

            keepalive_requests 100000;

            location = /worker { return 200 $pid; }
            location = /metrics { async_metrics; }
        `,
    });
});

after(async () => {
    await nginx.stop();
    await backend.stop();
});


// One connection, and so one worker: requests one after the other, written by
// hand, as thousands of them are.

class Client {

    static async connect(port) {
        const client = new Client();

        client.socket = net.connect({ port, host: '127.0.0.1' });
        client.text = '';

        client.socket.setNoDelay();
        client.socket.on('error', error => client.fail?.(error));
        client.socket.on('close',
                         () => client.fail?.(new Error('it is closed')));

        client.socket.on('data', data => {
            client.text += data.toString('latin1');
            client.take();
        });

        await new Promise((resolve, reject) => {
            client.socket.once('connect', resolve);
            client.fail = reject;
        });

        return client;
    }


    request(head, body = '') {
        const length = body ? `Content-Length: ${body.length}\r\n` : '';

        return new Promise((resolve, reject) => {
            this.done = resolve;
            this.fail = reject;
            this.socket.write(
                `${head} HTTP/1.1\r\nHost: localhost\r\n${length}\r\n${body}`,
                'latin1');
        });
    }


    take() {
        const end = this.text.indexOf('\r\n\r\n');

        if (end < 0) {
            return;
        }

        const head = this.text.slice(0, end);
        const length = Number(head.match(/^Content-Length: (\d+)/im)?.[1] ?? 0);

        if (this.text.length < end + 4 + length) {
            return;
        }

        const body = this.text.slice(end + 4, end + 4 + length);

        this.text = this.text.slice(end + 4 + length);
        this.done({ status: Number(head.split(' ')[1]), head, body });
    }


    close() {
        this.fail = null;
        this.socket.destroy();
    }
}


// a client in each of the two workers

async function pair() {
    const clients = new Map();

    await until('a connection to each worker', async () => {
        const client = await Client.connect(nginx.port);
        const { body } = await client.request('GET /worker');

        if (clients.has(body)) {
            client.close();
        } else {
            clients.set(body, client);
        }

        return clients.size === 2;
    });

    return [...clients.values()];
}


test('a waiter in the other worker is woken, always', async () => {

    // Both directions, all ways to wait, the end at about the time when the
    // waiter comes: just before, just after, and in between.

    const ways = [
        id => `GET /jobs/${id}?wait=30`,
        id => `GET /jobs/${id}/result?wait=30`,
        id => `GET /jobs/${id}/wait`,
    ];

    const lanes = await Promise.all(
        Array.from({ length: 10 }, () => pair()));

    let woken = 0;

    const lane = async (number, clients) => {

        for (let i = 0; i < 100 / slow; i++) {
            const [submitter, waiter] = i % 2 ? clients
                                              : [...clients].reverse();

            const gate = `${number}-${i}`;
            const { head } = await submitter.request(`POST /a?gate=${gate}`,
                                                     'x');

            const id = head.match(/^Operation-Location: .*\/(\S+)$/im)[1];

            // the call runs in whichever worker took the job
            const arrived = backend.arrived(gate);

            if (i % 3 === 0) {
                await arrived;
            }

            const waiting = waiter.request(ways[i % ways.length](id));

            if (i % 3 === 1) {
                await new Promise(resolve => setTimeout(resolve, i % 7));
            }

            await arrived;
            backend.answer(gate);

            const answer = await within(`${gate} is woken`, waiting, 15);

            assert.equal(answer.status, 200);
            assert.match(answer.body, /^POST x$|"status":"succeeded"/);
            woken++;
        }
    };

    await Promise.all(lanes.map((clients, number) => lane(number, clients)));

    assert.equal(woken, 10 * Math.ceil(100 / slow));

    lanes.flat().forEach(client => client.close());
});


// more changes than the messages to a worker have room for, while it stands

test('a worker that stood still has missed nothing', async () => {
    const count = 400;
    const [own, other] = await pair();
    const { body: pid } = await other.request('GET /worker');

    const ended = async () => {
        const { body } = await own.request('GET /metrics');
        const line = /^ngx_async_jobs_succeeded_total.*"wide".* (\d+)$/m;
        return Number(body.match(line)[1]);
    };

    const first = await ended();
    const ids = [];

    for (let i = 0; i < count; i++) {
        const { head } = await own.request(`POST /a?gate=still-${i}`, 'x');
        ids.push(head.match(/^Operation-Location: .*\/(\S+)$/im)[1]);
    }

    for (let i = 0; i < count; i++) {
        await backend.arrived(`still-${i}`);
    }

    // a waiter in the other worker for each of them

    const waiters = [];

    while (waiters.length < count) {
        const client = await Client.connect(nginx.port);

        if ((await client.request('GET /worker')).body === pid) {
            waiters.push(client);
        } else {
            client.close();
        }
    }

    const waiting = waiters.map(
        (client, i) => client.request(`GET /jobs/${ids[i]}?wait=50`));

    await until('all of them wait', async () => {
        const { body } = await other.request('GET /metrics');
        return body.includes(`ngx_async_watches ${count}\n`);
    });

    process.kill(Number(pid), 'SIGSTOP');

    try {
        // one after the other, so that each end is a message of its own

        for (let i = 0; i < count; i++) {
            backend.answer(`still-${i}`);
            await until('the job ends',
                        async () => await ended() === first + i + 1);
        }

    } finally {
        process.kill(Number(pid), 'SIGCONT');
    }

    const answers = await within('all are woken', Promise.all(waiting), 20);

    for (const { body } of answers) {
        assert.equal(JSON.parse(body).status, 'succeeded');
    }

    [own, other, ...waiters].forEach(client => client.close());
});


test(`${many} waiters for one job are woken`, async context => {
    const { url } = job(await fetch(`${nginx.url}/a?gate=many`,
                                    { method: 'POST', body: 'x' }));

    await backend.arrived('many');

    const path = new URL(url).pathname;
    const clients = [];

    while (clients.length < many) {
        clients.push(...await Promise.all(
            Array.from({ length: Math.min(200, many - clients.length) },
                       () => Client.connect(nginx.port))));
    }

    const waiting = clients.map(
        client => client.request(`GET ${path}/result?wait=50`));

    // all of them have been read when a later request in both workers is
    // answered, as far as their sockets had them; the rest comes too late
    // to wait, and is answered at once

    for (const client of await pair()) {
        await client.request('GET /worker');
        client.close();
    }

    const start = Date.now();
    backend.answer('many', { body: 'the result' });

    const answers = await within('all are woken', Promise.all(waiting), 30);
    const took = Date.now() - start;

    for (const { status, body } of answers) {
        assert.equal(status, 200);
        assert.equal(body, 'the result');
    }

    context.diagnostic(`${many} waiters in ${took} ms`);

    clients.forEach(client => client.close());
});


test('waiters that leave are freed', async () => {
    const { url } = job(await fetch(`${nginx.url}/a?gate=leave`,
                                    { method: 'POST', body: 'x' }));

    await backend.arrived('leave');

    const { pathname } = new URL(url);
    const open = () => nginx.workers().reduce(
        (sum, pid) => sum + fs.readdirSync(`/proc/${pid}/fd`).length, 0);

    const clients = [];

    for (let i = 0; i < 500; i++) {
        const client = await Client.connect(nginx.port);
        client.request(`GET ${pathname}/wait`).catch(() => {});
        clients.push(client);
    }

    await until('they wait', () => open() >= 500);
    clients.forEach(client => client.close());
    await until('they are gone', () => open() < 200);

    backend.answer('leave');

    const response = await fetch(`${url}/wait`);
    assert.equal(await response.text(), 'POST x');
});
