// A real nginx with the module, and a backend that answers when it is told to:
//
//     const backend = await Backend.start();
//     const nginx = await Nginx.start({
//         locations: `location / { async on; proxy_pass ${backend.url}; }`
//     });
//     const answered = fetch(nginx.url + '/report?gate=a');
//     await backend.arrived('a');
//     backend.answer('a', { status: 200, body: 'done' });
//     await nginx.stop();          // throws if its log has what it must not
//     await backend.stop();

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import fs from 'node:fs';
import http from 'node:http';
import net from 'node:net';
import os from 'node:os';
import path from 'node:path';

const env = process.env;

// sanitizers and valgrind take their time
export const slow = env.ASAN_OPTIONS || env.VALGRIND_OPTS ? 4 : 1;

const running = new Set();


// packages are not where this file is, but where they were installed

export const load = createRequire((env.NGX_ASYNC_CLIENTS || '.') + '/');


// waits for a condition: its value; throws when the time is over

export async function until(what, condition, seconds = 20) {
    const end = Date.now() + seconds * slow * 1000;

    for (;;) {
        const value = await condition();

        if (value) {
            return value;
        }

        if (Date.now() > end) {
            throw new Error(`not within ${seconds} s: ${what}`);
        }

        await new Promise(resolve => setTimeout(resolve, 10));
    }
}


export function within(what, promise, seconds = 20) {
    let timer;

    const late = new Promise((resolve, reject) => {
        timer = setTimeout(
            () => reject(new Error(`not within ${seconds} s: ${what}`)),
            seconds * slow * 1000);
    });

    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}


// a program: its exit status and output

export function run(command, args, options = {}) {
    return within(command, new Promise((resolve, reject) => {
        const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'],
                                             ...options });
        const out = [];
        const err = [];

        child.stdout.on('data', data => out.push(data));
        child.stderr.on('data', data => err.push(data));
        child.on('error', reject);
        child.on('close', status => resolve({
            status,
            stdout: Buffer.concat(out).toString(),
            stderr: Buffer.concat(err).toString(),
        }));
    }), 60);
}


async function freePort() {
    const server = net.createServer();

    await new Promise(resolve => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address();
    await new Promise(resolve => server.close(resolve));

    return port;
}


export class Backend {

    static async start() {
        const backend = new Backend();

        backend.requests = [];
        backend.gates = new Map();

        backend.server = http.createServer(
            (request, response) => backend.take(request, response));

        await new Promise(resolve => {
            backend.server.listen(0, '127.0.0.1', 511, resolve);
        });

        // a test that failed is not kept from its end
        backend.server.unref();

        backend.url = `http://127.0.0.1:${backend.server.address().port}`;

        return backend;
    }


    // with ?gate=name a request waits for answer(name), else it is echoed

    async take(request, response) {
        const chunks = [];

        for await (const chunk of request) {
            chunks.push(chunk);
        }

        const { searchParams } = new URL(request.url, this.url);
        const gate = searchParams.get('gate');

        const got = {
            method: request.method,
            url: request.url,
            headers: request.headers,
            body: Buffer.concat(chunks).toString(),
            gate,
            response,
            closed: false,
        };

        response.on('close', () => { got.closed = true; });
        this.requests.push(got);

        if (gate === null) {
            this.send(got, {});

        } else if (this.gates.has(gate)) {
            this.send(got, this.gates.get(gate));
        }
    }


    send(got, answer) {
        const { status = 200, headers = { 'Content-Type': 'text/plain' },
                body = `${got.method} ${got.body}` } = answer;

        got.response.writeHead(status, headers);
        got.response.end(body);
    }


    of(gate) {
        return this.requests.filter(got => got.gate === gate);
    }


    // the request that waits at a gate

    arrived(gate) {
        return until(`a request for ${gate}`, () => this.of(gate)[0]);
    }


    // to all that wait and all that come

    answer(gate, answer = {}) {
        this.gates.set(gate, answer);

        for (const got of this.of(gate)) {
            if (!got.response.headersSent && !got.closed) {
                this.send(got, answer);
            }
        }
    }


    async stop() {
        this.server.close();
        this.server.closeAllConnections();
    }
}


export class Nginx {

    // locations, http, main, jobs: parts of the configuration

    static async start(options) {
        const nginx = new Nginx();

        nginx.dir = fs.mkdtempSync(path.join(os.tmpdir(), 'ngx-async-'));
        nginx.port = await freePort();
        nginx.url = `http://127.0.0.1:${nginx.port}`;

        fs.chmodSync(nginx.dir, 0o755);
        nginx.configure(options);

        await nginx.begin();

        return nginx;
    }


    configure({ locations, http = '', main = '', workers = 1,
                connections = 1024, jobs = 'location /jobs/ { async_jobs; }' })
    {
        const module = env.NGX_ASYNC_MODULE
            ? `load_module ${env.NGX_ASYNC_MODULE};` : '';
        const user = process.getuid() === 0 ? 'user root;' : '';

        const temp = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi']
            .map(name => `${name}_temp_path temp_${name};`).join('\n    ');

        fs.writeFileSync(path.join(this.dir, 'nginx.conf'), `
${module}
${user}
daemon off;
pid nginx.pid;
error_log error.log info;
worker_processes ${workers};
${main}

events {
    worker_connections ${connections};
}

http {
    access_log off;
    ${temp}

    async_store store size=256m;
    ${http}

    server {
        listen 127.0.0.1:${this.port}${workers > 1 ? ' reuseport' : ''}
            backlog=4096;

        ${locations}
        ${jobs}
    }
}
`);
    }


    // nginx ends with this process

    async begin() {
        const out = fs.openSync(path.join(this.dir, 'out'), 'a');

        const child = spawn('setpriv', [
            '--pdeathsig', 'TERM', env.TEST_NGINX_BINARY || 'nginx',
            '-p', this.dir, '-c', 'nginx.conf', '-e', 'error.log',
        ], { stdio: ['ignore', out, out] });

        fs.closeSync(out);

        this.pid = child.pid;
        running.add(this);

        this.exit = new Promise(resolve => {
            child.on('exit', resolve);
            child.on('error', resolve);
        });

        let exited = false;
        this.exit.then(() => { exited = true; });

        await until('nginx listens', async () => {
            if (exited) {
                throw new Error('nginx has not started: '
                                + this.read('out') + this.read('error.log'));
            }

            return await this.listens();
        });
    }


    listens() {
        return new Promise(resolve => {
            const socket = net.connect(this.port, '127.0.0.1');

            socket.on('connect', () => { socket.destroy(); resolve(true); });
            socket.on('error', () => resolve(false));
        });
    }


    read(file) {
        try {
            return fs.readFileSync(path.join(this.dir, file), 'latin1');
        } catch {
            return '';
        }
    }


    pids() {
        return [this.pid, ...this.workers()];
    }


    workers() {
        try {
            return fs.readFileSync(
                `/proc/${this.pid}/task/${this.pid}/children`, 'latin1')
                .split(' ').filter(Boolean).map(Number);
        } catch {
            return [];
        }
    }


    kill(signal = 'SIGKILL') {
        for (const pid of this.pids()) {
            try {
                process.kill(pid, signal);
            } catch { /* it has gone */ }
        }
    }


    // ends nginx: gracefully by QUIT, at once by TERM

    async end(signal = 'SIGQUIT') {
        process.kill(this.pid, signal);

        try {
            await within('nginx exits', this.exit, 20);
        } catch (error) {
            this.kill();
            throw error;
        } finally {
            running.delete(this);
        }
    }


    async restart(pause) {
        await this.end('SIGTERM');
        await pause?.();
        await this.begin();
    }


    async stop() {
        try {
            await this.end();

            const bad = this.read('error.log').split('\n').filter(
                line => /\[(alert|emerg|crit)\]/.test(line));

            if (bad.length) {
                throw new Error(`the log has\n${bad.join('\n')}`);
            }

        } finally {
            if (!env.NGX_ASYNC_KEEP) {
                fs.rmSync(this.dir, { recursive: true, force: true });
            }
        }
    }
}


// what a submission promised

export function job(response) {
    const url = response.headers.get('operation-location');

    if (!url) {
        throw new Error(`no job: ${response.status}`);
    }

    return { url, result: response.headers.get('location') };
}


export async function status(url) {
    return (await fetch(url, { headers: { Accept: 'application/json' } }))
        .json();
}


for (const signal of ['SIGTERM', 'SIGINT']) {
    process.on(signal, () => {
        for (const nginx of running) {
            nginx.kill();
        }

        process.exit(1);
    });
}
