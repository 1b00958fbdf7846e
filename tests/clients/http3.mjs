// HTTP/3, with a browser: what is held, stored or left is so as on any other
// connection.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { after, before, test } from 'node:test';
import { Backend, Nginx, load, slow, until } from './server.mjs';

const { chromium } = load('playwright-core');

let backend, nginx, browser, page, port;

const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'ngx-async-http3-'));
const key = path.join(dir, 'key');
const certificate = path.join(dir, 'certificate');


function openssl(command, input) {
    return execFileSync('openssl', command.split(' '),
                        { input, stdio: ['pipe', 'pipe', 'ignore'] });
}


// a port for both TCP and UDP; nobody here uses the latter

async function freePort() {
    const server = net.createServer();

    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    await new Promise(resolve => server.close(resolve));

    return port;
}


before(async () => {
    openssl('req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
            + ' -subj /CN=localhost -addext subjectAltName=DNS:localhost'
            + ` -days 10 -keyout ${key} -out ${certificate}`);

    const pin = createHash('sha256').update(
        openssl('pkey -pubin -outform der',
                openssl(`x509 -in ${certificate} -pubkey -noout`)))
        .digest('base64');

    backend = await Backend.start();
    port = await freePort();

    const pass = `
        proxy_set_header X-Protocol "$server_protocol $http3 $scheme";
        proxy_pass ${backend.url};
    `;

    nginx = await Nginx.start({
        http: `
            log_format status '$request_method $uri $status';

            server {
                listen 127.0.0.1:${port} ssl;
                listen 127.0.0.1:${port} quic;
                server_name localhost;
                ssl_certificate ${certificate};
                ssl_certificate_key ${key};
                client_max_body_size 0;
                access_log access.log status;

                location /plain/ { ${pass} }
                location /held/ { async on; async_wait 60s; ${pass} }
                location /stored/ { async on; ${pass} }

                location /put/plain/ { alias put-; dav_methods PUT; }
                location /put/held/ {
                    async on;
                    async_wait 60s;
                    alias put-;
                    dav_methods PUT;
                }

                location /jobs/ { async_jobs; }

                location = /page {
                    default_type text/html;
                    return 200 '<!DOCTYPE html>';
                }
            }
        `,
        locations: '',
    });

    browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        headless: true,
        args: ['--headless', '--no-sandbox', '--disable-gpu',
               '--no-first-run', '--disable-background-networking',
               '--disable-component-update', '--disable-sync',
               '--enable-quic', `--origin-to-force-quic-on=localhost:${port}`,
               '--host-resolver-rules=MAP localhost 127.0.0.1',
               `--ignore-certificate-errors-spki-list=${pin}`],
    });

    page = await browser.newPage();
    page.setDefaultTimeout(20000 * slow);
    await page.goto(`https://localhost:${port}/page`);
});

after(async () => {
    await browser?.close();
    await nginx?.stop();
    await backend?.stop();
    fs.rmSync(dir, { recursive: true, force: true });
});


// size: of a body to send

function ask(method, uri, { size, headers = {} } = {}) {
    return page.evaluate(async ([method, uri, size, headers]) => {
        const r = await fetch(uri, {
            method, headers, cache: 'no-store',
            body: size === undefined ? undefined : 'x'.repeat(size),
        });

        const body = await r.text();
        const got = Object.fromEntries(r.headers);

        delete got.date;

        return { status: r.status, headers: got, body };
    }, [method, uri, size, headers]);
}


function lines(text) {
    return nginx.read('access.log').split('\n').filter(l => l === text);
}


const requests = [
    ['GET'], ['DELETE'], ['POST', 0], ['POST', 1], ['POST', 300000],
    ['PUT', 0], ['PUT', 10], ['PUT', 300000], ['PATCH', 100],
];

for (const [method, size] of requests) {
    const name = size === undefined ? method : `${method} of ${size} bytes`;

    test(`${name}: held as without async`, async () => {
        const plain = await ask(method, '/plain/', { size });
        const held = await ask(method, '/held/', { size });

        assert.equal(plain.status, 200);
        assert.deepEqual(held, plain);

        const [a, b] = backend.requests.slice(-2).map(got => got.headers);

        assert.equal(a['x-protocol'], 'HTTP/3.0 h3 https');
        assert.deepEqual(b, a);
    });

    test(`${name}: stored`, async () => {
        const { body } = await ask(method, '/plain/', { size });
        const r = await ask(method, '/stored/', { size });

        assert.equal(r.status, 202);
        assert.match(r.headers.location,
                     new RegExp(`^https://localhost:${port}/jobs/`));

        const result = await ask('GET', `${r.headers.location}?wait=20`);

        assert.equal(result.status, 200);
        assert.equal(result.body, body);
    });
}


test('a body that its handler wants in a file', async () => {
    for (const size of [0, 10, 300000]) {
        const plain = await ask('PUT', `/put/plain/a${size}`, { size });
        const held = await ask('PUT', `/put/held/b${size}`, { size });

        assert.equal(plain.status, 201);
        assert.equal(held.status, 201);
        assert.equal(nginx.read(`put-b${size}`).length, size);
    }
});


test('a large response', async () => {
    const body = 'a response of many bytes'.repeat(400000);

    backend.answer('large', { body });

    for (const location of ['plain', 'held']) {
        const r = await ask('GET', `/${location}/?gate=large`);
        assert.ok(r.body === body, location);
    }
});


test('a held client that leaves: the call goes on', async () => {
    const headers = { 'Idempotency-Key': 'left' };

    await page.evaluate(headers => {
        window.leaving = new AbortController();
        fetch('/held/leave?gate=leave', { headers, signal: leaving.signal })
            .catch(() => {});
    }, headers);

    const got = await backend.arrived('leave');

    await page.evaluate(() => leaving.abort());
    await until('its request ends',
                () => lines('GET /held/leave 499').length === 1);

    assert.equal(got.closed, false);
    backend.answer('leave', { body: 'for it' });

    const r = await ask('GET', '/held/leave?gate=leave', { headers });

    assert.equal(r.body, 'for it');
    assert.equal(backend.of('leave').length, 1);
});


test('a waiter that leaves', async () => {
    const r = await ask('GET', '/stored/?gate=waiter');
    const uri = new URL(r.headers.location).pathname;

    await page.evaluate(uri => {
        window.leaving = new AbortController();
        fetch(`${uri}?wait=50`, { signal: leaving.signal }).catch(() => {});
    }, uri);

    await backend.arrived('waiter');
    await ask('GET', '/plain/');

    // it may not have begun to wait before: it is noticed all the same

    await page.evaluate(() => leaving.abort());
    await until('its request ends',
                () => lines(`GET ${uri} 499`).length === 1);

    backend.answer('waiter', { body: 'later' });
    assert.equal((await ask('GET', `${uri}?wait=20`)).body, 'later');
});
