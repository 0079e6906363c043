// What the TypeScript drivers share; the same lines as `tried.py` prints.
//
// Run as `node driver.mjs MODULES PREFIX URL` or `node driver.mjs MODULES PREFIX COMMAND ARGUMENT…`;
// MODULES is the folder in which npm installed the SDKs.

import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

export const [modules, prefix, ...target] = process.argv.slice(2);

export const name = tool => prefix + tool;
export const url = target[0]?.startsWith('http') ? new URL(target[0]) : undefined;
export const command = { command: target[0], args: target.slice(1), stderr: 'inherit' };
export const key = () => randomUUID();
export const textOf = result => result.content.map(block => block.text ?? '').join('');

export function ours(tools) {
    const names = tools.map(tool => tool.name).filter(each => each.startsWith(prefix));
    return names.map(each => each.slice(prefix.length)).sort();
}

export function told(tried, what) {
    console.log(JSON.stringify({ tried, ...what }));
}

// A module of an installed package, by what its `exports` says for `import`.
export async function load(packageName, entry = '.') {
    const folder = join(modules, 'node_modules', packageName);
    const { exports } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const pattern = Object.keys(exports).find(each => each === entry)
        ?? Object.keys(exports).find(each => each.endsWith('/*') && entry.startsWith(each.slice(0, -1)));
    let found = exports[pattern].import ?? exports[pattern];
    found = found.default ?? found;
    const rest = pattern.endsWith('/*') ? entry.slice(pattern.length - 1) : '';
    return import(pathToFileURL(join(folder, found.replace('*', rest))));
}

export async function untilCancelled(count) {
    for (let tries = 0; tries < 100; tries += 1) {
        const seen = Number(await count());
        if (seen) return seen;
        await new Promise(go => setTimeout(go, 100));
    }
    return 0;
}

// What both generations of the SDK do alike; `call` makes a tool call in the way of one of them.
export async function drive(listTools, call) {
    told('list', { tools: ours((await listTools()).tools) });
    let result = await call('echo', { text: 'héllo' });
    told('call', { text: textOf(result), structured: result.structuredContent, error: result.isError ?? false });

    const seen = [];
    const onprogress = ({ progress, total, message }) => seen.push([progress, total, message]);
    result = await call('slow', { steps: 3 }, { onprogress });
    told('progress', { seen, text: textOf(result) });

    const mark = key();
    const giveUp = new AbortController();
    try {
        await call('wait', { key: mark }, { signal: giveUp.signal, onprogress: () => giveUp.abort('enough') });
        told('cancel', { seen: 0 });
    } catch {
        const count = async () => textOf(await call('cancelled', { key: mark }));
        told('cancel', { seen: await untilCancelled(count) });
    }

    for (const dish of ['soup', 'refuse']) {
        result = await call('order', { dish });
        told('elicit', { dish, text: textOf(result), error: result.isError ?? false });
    }
    result = await call('fail', { why: 'no luck' });
    told('error', { text: textOf(result), error: result.isError ?? false });
    try {
        result = await call('nothing', {});
        told('unknown', { text: textOf(result), error: result.isError ?? false });
    } catch (error) {
        told('unknown', { code: error.code, message: error.message });
    }
}

// The person who answers questions.
export function answer(request) {
    const { message, requestedSchema } = request.params;
    told('asked', { message, fields: Object.keys(requestedSchema.properties).sort() });
    if (message.includes('refuse')) return { action: 'decline' };
    return { action: 'accept', content: { sure: true, guests: 3 } };
}

export async function run(main) {
    try {
        await main();
    } catch (error) {
        told('crash', { error: String(error.stack ?? error) });
        process.exitCode = 1;
    }
}
