// Azure SDKs: @azure/core-lro over @azure/core-rest-pipeline, used as the
// generated clients do.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { Backend, Nginx, load, until } from './server.mjs';

const { createHttpPoller } = load('@azure/core-lro');
const { createDefaultHttpClient, createPipelineFromOptions,
        createPipelineRequest } = load('@azure/core-rest-pipeline');

let backend, nginx;

const client = createDefaultHttpClient();
const pipeline = createPipelineFromOptions({});
const json = { 'Content-Type': 'application/json' };


before(async () => {
    backend = await Backend.start();
    nginx = await Nginx.start({
        locations: `
            location / { async on; proxy_pass ${backend.url}; }
        `,
    });
});

after(async () => {
    await nginx.stop();
    await backend.stop();
});


async function send(method, url, options = {}) {
    const request = createPipelineRequest({
        method, url, allowInsecureConnection: true,
        abortSignal: options.abortSignal,
        body: options.body,
    });

    const response = await pipeline.sendRequest(client, request);
    const headers = response.headers.toJSON();
    let body;

    try {
        body = JSON.parse(response.bodyAsText);
    } catch { /* not JSON */ }

    return {
        flatResponse: { ...body, text: response.bodyAsText },
        rawResponse: { statusCode: response.status, headers, body,
                       request: { method, url } },
    };
}


// a client that does not know Operation-Location looks at Location

function operation(mode, method, uri, polls = []) {
    return {
        sendInitialRequest: async () => {
            const response = await send(method, nginx.url + uri,
                                        { body: '{}' });

            assert.equal(response.rawResponse.statusCode, 202);

            if (mode === 'Location') {
                delete response.rawResponse.headers['operation-location'];
            }

            return response;
        },
        sendPollRequest: async (url, options) => {
            const response = await send('GET', url, options);
            polls.push({ url, status: response.rawResponse.statusCode });
            return response;
        },
    };
}


for (const mode of ['Operation-Location', 'Location']) {

    describe(`core-lro, ${mode}`, { concurrency: true }, () => {

        for (const method of ['POST', 'PUT', 'PATCH']) {

            test(`${method} succeeds`, async () => {
                const gate = `${mode}-${method}`;
                const polls = [];

                const poller = createHttpPoller(
                    operation(mode, method, `/a?gate=${gate}`, polls),
                    { intervalInMs: 200 });

                const done = poller.pollUntilDone();

                await until('a poll', () => polls.length > 0);
                assert.equal(poller.operationState.status, 'running');

                backend.answer(gate, { headers: json,
                                       body: '{"answer":42}' });

                const result = await done;

                assert.equal(result.answer, 42);
                assert.equal(poller.operationState.status, 'succeeded');
                assert.equal(poller.isDone, true);
                assert.match(polls.at(-1).url, /\/result$/);

                for (const poll of polls) {
                    assert.ok([200, 202].includes(poll.status));
                    assert.match(poll.url, mode === 'Location'
                        ? /\/result$/ : /\/jobs\/[0-9a-f-]+(\/result)?$/);
                }

                assert.equal(backend.of(gate).length, 1);
            });
        }


        test('a job fails with what the upstream said', async () => {
            const gate = `${mode}-fails`;

            backend.answer(gate, {
                status: 422, headers: json,
                body: '{"error":{"code":"BadTable","message":"No rows."}}',
            });

            const poller = createHttpPoller(
                operation(mode, 'POST', `/a?gate=${gate}`),
                { intervalInMs: 200 });

            await assert.rejects(
                poller.pollUntilDone(),
                mode === 'Location'
                    ? /has failed\. BadTable\. No rows\.$/
                    : /has failed\. http_422\. \S.*$/);

            assert.equal(poller.operationState.status, 'failed');
        });


        test('a job without a response fails with code and message',
             async () => {
            const gate = `${mode}-broken`;

            const poller = createHttpPoller(
                operation(mode, 'POST', `/a?gate=${gate}`),
                { intervalInMs: 200 });

            const done = poller.pollUntilDone();
            done.catch(() => {});

            (await backend.arrived(gate)).response.destroy();

            await assert.rejects(done, mode === 'Location'
                ? /has failed/
                : /has failed\. http_502\. \S.*$/);

            assert.equal(poller.operationState.status, 'failed');
        });


        test('a job is canceled', async () => {
            const gate = `${mode}-canceled`;
            let url;

            const poller = createHttpPoller(
                operation(mode, 'POST', `/a?gate=${gate}`),
                { intervalInMs: 200,
                  withOperationLocation: location => { url = location; } });

            const done = poller.pollUntilDone();
            done.catch(() => {});

            const call = await backend.arrived(gate);

            const deleted = await send('DELETE', url);
            assert.equal(deleted.rawResponse.statusCode, 202);

            await assert.rejects(done, mode === 'Location'
                ? /has failed/ : /was canceled/);

            assert.equal(poller.operationState.status,
                         mode === 'Location' ? 'failed' : 'canceled');

            await until('the call is aborted', () => call.closed);
        });


        test('a poller is stored and taken up by another client', async () => {
            const gate = `${mode}-stored`;

            const first = createHttpPoller(
                operation(mode, 'POST', `/a?gate=${gate}`));

            await first.submitted();
            const stored = await first.serialize();

            const second = createHttpPoller(operation(mode),
                { restoreFrom: stored, intervalInMs: 200 });

            await backend.arrived(gate);
            backend.answer(gate, { headers: json, body: '{"answer":43}' });

            assert.equal((await second.pollUntilDone()).answer, 43);
        });
    });
}


test('core-lro goes on over a restart of nginx', async () => {
    const polls = [];

    const poller = createHttpPoller(
        operation('Operation-Location', 'PUT', '/a?gate=restart', polls),
        { intervalInMs: 200 });

    const done = poller.pollUntilDone();
    done.catch(() => {});

    await backend.arrived('restart');
    await until('a poll', () => polls.length > 0);

    await nginx.restart();

    await until('the call was repeated',
                () => backend.of('restart').length === 2);

    backend.answer('restart', { headers: json, body: '{"answer":44}' });

    assert.equal((await done).answer, 44);
});
