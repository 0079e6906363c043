// Drives the client of the TypeScript SDK 1.x, which takes a list as a whole or not at all.
//
// Run as `node lists.mjs MODULES PREFIX URL TOOL…`: it prints what is listed, and calls the tools.

import { load, run, target, told, url } from './tried.mjs';

const sdk = '@modelcontextprotocol/sdk';
const { Client } = await load(sdk, './client/index.js');
const { StreamableHTTPClientTransport } = await load(sdk, './client/streamableHttp.js');

await run(async () => {
    const client = new Client({ name: 'ts1', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(url));
    const names = (entries, member) => entries.map(each => each[member]).sort();
    const { tools } = await client.listTools();
    told('tools', { names: names(tools, 'name') });
    told('prompts', { names: names((await client.listPrompts()).prompts, 'name') });
    told('resources', { names: names((await client.listResources()).resources, 'uri') });
    const { resourceTemplates } = await client.listResourceTemplates();
    told('templates', { names: names(resourceTemplates, 'uriTemplate') });
    for (const tool of target.slice(1)) {
        const { outputSchema } = tools.find(each => each.name === tool);
        // It holds what comes against what was listed.
        const { structuredContent } = await client.callTool({ name: tool, arguments: {} });
        told('call', { tool, schema: outputSchema, structured: structuredContent });
    }
    await client.close();
});
