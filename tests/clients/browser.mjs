// Chromium: a form whose answer takes its time, with and without JavaScript.

import assert from 'node:assert/strict';
import path from 'node:path';
import { after, before, beforeEach, afterEach, describe, test }
    from 'node:test';
import { Backend, Nginx, load, slow, status, until } from './server.mjs';

const { chromium } = load('playwright-core');

// a directory for screenshots
const shots = process.env.NGX_ASYNC_SCREENSHOTS;

const html = { 'Content-Type': 'text/html' };
const report = '<!DOCTYPE html><title>Report</title><h1>The report</h1>';

let backend, nginx, browser, context, page, complaints, refused;


before(async () => {
    backend = await Backend.start();
    nginx = await Nginx.start({
        http: 'async_queue single concurrency=1;',
        locations: `
            default_type text/html;

            location / { async on; proxy_pass ${backend.url}; }

            location /single/ {
                async on queue=single;
                proxy_pass ${backend.url};
            }

            location /quick/ {
                async on;
                async_wait 5s;
                proxy_pass ${backend.url};
            }

            location = /favicon.ico { return 204; }

            location = /form {
                return 200 '<!DOCTYPE html><link rel=icon href="data:,">
                    <form method=$arg_method action="$arg_action">
                    <input type=hidden name=gate value="$arg_gate">
                    <input name=table value="1 2 3"><button>Go</button>';
            }
        `,
        jobs: 'location /jobs/ { async_jobs; async_jobs_list all; }',
    });

    browser = await chromium.launch({
        executablePath: '/usr/bin/chromium',
        headless: true,
        args: ['--headless', '--no-sandbox', '--disable-gpu',
               '--disable-quic', '--no-first-run',
               '--disable-background-networking',
               '--disable-component-update', '--disable-sync'],
    });
});

after(async () => {
    await browser?.close();
    await nginx.stop();
    await backend.stop();
});


// A page that notes every complaint of the browser.  Connections that nginx
// refuses while it restarts are none.

async function open(options) {
    context = await browser.newContext(options);
    context.setDefaultTimeout(20000 * slow);

    page = await context.newPage();
    complaints = [];
    refused = false;

    page.on('pageerror', error => complaints.push(String(error)));

    page.on('console', message => {
        const text = message.text();

        if (refused
            && /net::ERR_(CONNECTION|INCOMPLETE|EMPTY|SOCKET)/.test(text))
        {
            return;
        }

        if (['error', 'warning'].includes(message.type())) {
            complaints.push(text);
        }
    });
}


async function close() {
    await context.close();
    assert.deepEqual(complaints, []);
}


// fills in the form and sends it

async function submit(gate, { method = 'post', action = '/a' } = {}) {
    const query = new URLSearchParams({ method, gate, action });

    // a POST has it in its URI
    if (method === 'post') {
        query.set('action', `${action}?gate=${gate}`);
    }

    await page.goto(`${nginx.url}/form?method=${method}&gate=${gate}`
                    + `&action=${query.get('action')}`);

    const answers = [];
    const take = response => answers.push(response);

    page.on('response', take);
    await page.click('button');
    await page.waitForURL(/\/jobs\/[0-9a-f-]{36}$/);
    page.off('response', take);

    assert.equal(answers[0].status(), 303);

    return page.url();
}


// In both colour schemes: every text stands out from what is behind it (4.5
// to 1), the heading is one, and what is told as it changes is no more than
// the heading and the note.

async function accessible(name) {
    for (const colorScheme of ['light', 'dark']) {
        await page.emulateMedia({ colorScheme });

        const faint = await page.evaluate(() => {
            const canvas = document.createElement('canvas');
            const draw = canvas.getContext('2d',
                                           { willReadFrequently: true });
            canvas.width = canvas.height = 1;

            const luminance = (...colors) => {
                for (const color of colors) {
                    draw.fillStyle = color;
                    draw.fillRect(0, 0, 1, 1);
                }

                return [...draw.getImageData(0, 0, 1, 1).data].slice(0, 3)
                    .map(c => c / 255)
                    .map(c => c <= 0.04045 ? c / 12.92
                                           : ((c + 0.055) / 1.055) ** 2.4)
                    .reduce((sum, c, i) =>
                        sum + c * [0.2126, 0.7152, 0.0722][i], 0);
            };

            const faint = [];

            for (const element of document.querySelectorAll('main *')) {
                if (!element.checkVisibility() ||
                    ![...element.childNodes].some(node =>
                        node.nodeType === 3 && node.data.trim()))
                {
                    continue;
                }

                const behind = [];

                for (let e = element; e; e = e.parentElement) {
                    behind.unshift(getComputedStyle(e).backgroundColor);
                }

                const back = luminance('Canvas', ...behind);
                const text = luminance('Canvas', ...behind,
                                       getComputedStyle(element).color);
                const ratio = (Math.max(back, text) + 0.05)
                              / (Math.min(back, text) + 0.05);

                if (ratio < 4.5) {
                    faint.push(`${element.outerHTML}: ${ratio}`);
                }
            }

            return faint;
        });

        assert.deepEqual(faint, [], `${name}, ${colorScheme}`);
    }

    assert.equal(await page.getByRole('heading', { level: 1 }).count(), 1,
                 `${name}: a heading`);

    const live = await page.evaluate(() =>
        [...document.querySelectorAll('[role=status], [aria-live]')]
            .map(e => [...e.querySelectorAll('[id]'), e]
                      .map(e => e.id).filter(id => id)).flat());

    assert.ok(live.every(id => ['status', 'note'].includes(id)), live.join());
}


async function shot(name) {
    await accessible(name);

    if (shots) {
        for (const colorScheme of ['light', 'dark']) {
            await page.emulateMedia({ colorScheme });
            await page.screenshot({
                path: path.join(shots, `${name}-${colorScheme}.png`),
            });
        }
    }
}


const title = () => page.textContent('h1');


// The conditions are looked at from here: the page's policy lets nobody
// evaluate anything in it.

const sees = (what, condition) => until(what, async () => {
    try {
        return await condition();
    } catch {
        return false;       // in the middle of a navigation
    }
}, 30);

const shows = text => sees(text, async () => await title() === text);
const note = async () => await page.textContent('#note') !== '';


describe('Chromium', () => {

    beforeEach(() => open());
    afterEach(close);


    test('a form becomes a page that counts, and then the result',
         async () => {
        const url = await submit('a');

        assert.equal((await backend.arrived('a')).body,
                     'gate=a&table=1+2+3');

        await shows('Running');
        assert.equal(await page.title(), 'Running');

        const before = await page.textContent('#elapsed');
        await sees('it counts', async () =>
            await page.textContent('#elapsed') !== before);

        assert.ok(await page.isVisible('#cancel button'));
        assert.ok(await page.isHidden('#result'));
        await shot('running');

        backend.answer('a', { headers: html, body: report });

        await page.waitForURL(/\/result$/);
        assert.equal(await title(), 'The report');

        // J is not in the history: back is the form

        await page.goBack();
        assert.match(page.url(), /\/form\?/);

        // and J goes to the result

        await page.goto(url);
        await page.waitForURL(/\/result$/);

        assert.equal(backend.of('a').length, 1);
    });


    test('a queued job has a position, a running one a progress',
         async () => {
        const first = await submit('b1', { action: '/single/' });
        const { response } = await backend.arrived('b1');

        await submit('b2', { action: '/single/' });
        await shows('Waiting in the queue');
        assert.equal(await page.textContent('#position'), '1');
        await shot('queued');

        await page.goto(first);

        response.writeHead(200, { ...html, 'Content-Length': 400000 });
        response.write(report.padEnd(200000));

        await sees('what was received', async () =>
            /^\d+\.\d kB of 400\.0 kB$/.test(
                await page.textContent('#received')));

        assert.ok(await page.isVisible('#bar'));
        await shot('progress');

        response.end(''.padEnd(200000));
        await page.waitForURL(/\/result$/);
        assert.equal(await title(), 'The report');

        backend.answer('b2');
    });


    test('a job is canceled by its button', async () => {
        const url = await submit('c');
        const call = await backend.arrived('c');

        await page.click('#cancel button');
        await shows('Canceled');

        assert.equal(page.url(), url);
        assert.ok(await page.isHidden('#cancel'));
        assert.equal((await status(url)).status, 'canceled');

        await until('the call is aborted', () => call.closed);
        await shot('canceled');
    });


    test('a job that is canceled elsewhere', async () => {
        const url = await submit('d');
        await backend.arrived('d');

        await fetch(url, { method: 'DELETE' });
        await shows('Canceled');
    });


    test('a job that fails shows why, and what came', async () => {
        await submit('e');
        await backend.arrived('e');

        backend.answer('e', { status: 500, headers: html,
                              body: '<h1>No table</h1>' });

        await shows('Failed');
        assert.equal(await page.textContent('#error'),
                     'The request was answered by 500 Internal Server Error.');
        assert.ok(await page.isHidden('#cancel'));
        await shot('failed');

        // the browser itself notes the status of what it opens

        await page.click('#result a');
        await page.waitForURL(/\/result$/);
        assert.equal(await title(), 'No table');

        complaints = complaints.filter(text => !/status of 500/.test(text));
    });


    test('a quick answer is the page itself', async () => {
        backend.answer('f', { headers: html, body: report });

        await page.goto(
            `${nginx.url}/form?method=post&action=/quick/?gate=f`);
        await page.click('button');
        await page.waitForURL(/\/quick\//);

        assert.equal(await title(), 'The report');
    });


    test('nginx restarts: the page keeps trying, the result comes',
         async () => {
        await submit('g', { method: 'get' });
        await backend.arrived('g');
        await shows('Running');

        refused = true;

        await nginx.restart(async () => {
            await sees('the note', note);
            await shot('restarting');
        });

        await until('the call is repeated',
                    () => backend.of('g').length === 2);

        await sees('no note', async () => !await note());

        backend.answer('g', { headers: html, body: report });

        await page.waitForURL(/\/result$/);
        assert.equal(await title(), 'The report');
    });


    test('nginx restarts: a POST is not sent again', async () => {
        await submit('h');
        await backend.arrived('h');
        await shows('Running');

        refused = true;
        await nginx.restart();

        await shows('Failed');
        assert.ok((await page.textContent('#error')).length > 0);
        assert.equal(backend.of('h').length, 1);
    });


    test('a job that is gone', async () => {
        const response = await page.goto(
            `${nginx.url}/jobs/01981f3e-7a5c-7cc3-98c4-dc0c0c07398f`);

        assert.equal(response.status(), 404);
        assert.match(response.headers()['content-type'], /^text\/html/);
        assert.ok((await title()).length > 0);
        await shot('absent');

        complaints = complaints.filter(text => !/status of 404/.test(text));
    });


    test('the list of jobs', async () => {
        await page.goto(`${nginx.url}/jobs/`);

        assert.ok(await page.isVisible('table'));
        await shot('list');
    });


    test('a narrow window', async () => {
        await page.setViewportSize({ width: 320, height: 560 });
        await submit('i');
        await backend.arrived('i');
        await shows('Running');
        await shot('narrow');

        const wide = await page.evaluate(
            () => document.documentElement.scrollWidth);
        assert.ok(wide <= 320, `${wide} px`);

        await page.goto(`${nginx.url}/jobs/`);
        assert.ok(await page.isVisible('table'));
        await shot('narrow-list');

        backend.answer('i');
    });
});


describe('Chromium without JavaScript', () => {

    beforeEach(() => open({ javaScriptEnabled: false }));
    afterEach(close);

    test('a form becomes a page that counts, and then the result',
         async () => {
        await submit('n1');
        await backend.arrived('n1');

        await shows('Running');

        const before = await page.textContent('#elapsed');
        await sees('it counts', async () =>
            await page.textContent('#elapsed') !== before);

        backend.answer('n1', { headers: html, body: report });

        await sees('the result', async () => page.url().endsWith('/result')
                   && await title() === 'The report');

        assert.equal(backend.of('n1').length, 1);
    });


    test('a job is canceled by its button', async () => {
        const url = await submit('n2');
        const call = await backend.arrived('n2');

        await page.click('#cancel button');
        await shows('Canceled');

        assert.equal(page.url(), url);
        assert.ok(await page.isHidden('#cancel'));
        await until('the call is aborted', () => call.closed);
    });


    test('a job that fails shows why', async () => {
        await submit('n3');
        await backend.arrived('n3');
        backend.answer('n3', { status: 503, body: 'no' });

        await shows('Failed');
        assert.equal(await page.textContent('#error'),
                     'The request was answered by 503 Service Unavailable.');
        assert.ok(await page.isVisible('#result a'));
    });
});
