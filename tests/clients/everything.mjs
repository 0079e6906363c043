// Uses all that `server-everything` offers, by the TypeScript SDK 1.x, and prints what it saw.
//
// What is printed is the same at the server itself and behind a hub.

import { command, load, run, told, url } from './tried.mjs';

const sdk = '@modelcontextprotocol/sdk';
const { Client } = await load(sdk, './client/index.js');
const { StdioClientTransport } = await load(sdk, './client/stdio.js');
const { StreamableHTTPClientTransport } = await load(sdk, './client/streamableHttp.js');
const types = await load(sdk, './types.js');

const capabilities = { elicitation: { form: {}, url: {} }, sampling: {}, roots: { listChanged: true } };
const client = new Client({ name: 'everything', version: '1' }, { capabilities });

client.setRequestHandler(types.ElicitRequestSchema, request => {
    if (request.params.mode === 'url') {
        told('elicitation', { url: request.params.url, message: request.params.message });
        return { action: 'accept' };
    }
    told('elicitation', { fields: Object.keys(request.params.requestedSchema.properties).sort() });
    return { action: 'accept', content: { name: 'Hazel', check: true } };
});
client.setRequestHandler(types.CreateMessageRequestSchema, request => {
    told('sampling', { messages: request.params.messages, maxTokens: request.params.maxTokens });
    return { role: 'assistant', model: 'none', content: { type: 'text', text: 'a made answer' } };
});
client.setRequestHandler(types.ListRootsRequestSchema, () => ({ roots: [{ uri: 'file:///burrow', name: 'burrow' }] }));

// Members of a result that are the same at each run.
function steady(result) {
    return JSON.parse(JSON.stringify(result), (key, value) => {
        if (key === 'blob') return steady(atob(value));
        if (typeof value !== 'string') return value;
        const time = /\d{1,2}:\d{2}:\d{2}( [AP]M)?|\d{4}-\d\d-\d\dT[\d:.]+Z/g;
        return value.replace(time, 'TIME').replace(/[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}/g, 'ID');
    });
}

async function tried(what, action) {
    try {
        told(what, { result: steady(await action()) });
    } catch (error) {
        told(what, { code: error.code, message: error.message });
    }
}

const call = (name, args = {}, options = undefined) =>
    tried(`tool ${name}`, () => client.callTool({ name, arguments: args }, undefined, options));

await run(async () => {
    await client.connect(url ? new StreamableHTTPClientTransport(url) : new StdioClientTransport(command));
    const sorted = (list, by) => [...list].sort((a, b) => (a[by] < b[by] ? -1 : 1));
    await tried('tools', async () => sorted((await client.listTools()).tools, 'name'));
    await tried('resources', async () => sorted((await client.listResources()).resources, 'uri'));
    await tried('templates', async () => sorted((await client.listResourceTemplates()).resourceTemplates, 'name'));
    await tried('prompts', async () => sorted((await client.listPrompts()).prompts, 'name'));

    await call('echo', { message: 'squeak' });
    await call('get-sum', { a: 2, b: 3 });
    await call('get-sum', { a: 'two' });
    await call('get-annotated-message', { messageType: 'error', includeImage: true });
    await call('get-resource-links', { count: 3 });
    await call('get-resource-reference', { resourceType: 'Text', resourceId: 1 });
    await call('get-structured-content', { location: 'Chicago' });
    await call('get-tiny-image');
    const seen = [];
    const onprogress = ({ progress, total }) => seen.push([progress, total]);
    await call('trigger-long-running-operation', { duration: 1, steps: 4 }, { onprogress });
    // The last one comes with the result, and this SDK drops it then.
    told('progress', { seen: seen.slice(0, 3) });
    await call('trigger-elicitation-request');
    await call('trigger-url-elicitation', { url: 'https://example.com/sign', message: 'sign' });
    await call('trigger-sampling-request', { prompt: 'sleep well', maxTokens: 10 });
    await call('get-roots-list');

    await tried('text', () => client.readResource({ uri: 'demo://resource/dynamic/text/1' }));
    await tried('blob', () => client.readResource({ uri: 'demo://resource/dynamic/blob/2' }));
    await tried('no resource', () => client.readResource({ uri: 'demo://nothing' }));
    await tried('simple prompt', () => client.getPrompt({ name: 'simple-prompt' }));
    await tried('prompt', () => client.getPrompt({ name: 'args-prompt', arguments: { city: 'Oslo' } }));
    await tried('completion', () =>
        client.complete({
            ref: { type: 'ref/prompt', name: 'completable-prompt' },
            argument: { name: 'department', value: 'E' },
        }),
    );
    await tried('subscribe', () => client.subscribeResource({ uri: 'demo://resource/dynamic/text/1' }));
    await tried('unsubscribe', () => client.unsubscribeResource({ uri: 'demo://resource/dynamic/text/1' }));
    await tried('level', () => client.setLoggingLevel('warning'));
    await tried('ping', () => client.ping());
    await client.close();
});
