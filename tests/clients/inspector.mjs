// Drives the command line of the MCP inspector, in each life of the protocol.
//
// It lists and calls; it shows no progress, cannot cancel, and answers no questions.

import { execFile } from 'node:child_process';
import { join } from 'node:path';

import { key, modules, name, ours, run, target, textOf, told } from './tried.mjs';

const program = join(modules, 'node_modules/.bin/mcp-inspector');

// One run of the program; a failure of the tool is an exit code and a result all the same.
function inspect(era, ...what) {
    const args = [program, '--cli', ...target, '--protocol-era', era, '--format', 'json', '--quiet', ...what];
    return new Promise(done => {
        execFile(process.execPath, args, { timeout: 120_000 }, (error, stdout, stderr) => {
            const read = text => {
                try {
                    return JSON.parse(text);
                } catch {
                    return undefined;
                }
            };
            done({ code: error?.code ?? 0, result: read(stdout)?.result, said: stderr });
        });
    });
}

const calling = tool => ['--method', 'tools/call', '--tool-name', name(tool)];

await run(async () => {
    for (const era of ['legacy', 'auto', 'modern']) {
        told('connect', { mode: era });
        let { result, said } = await inspect(era, '--method', 'tools/list');
        told('list', { tools: ours(result?.tools ?? []), said });
        ({ result, said } = await inspect(era, ...calling('echo'), '--tool-arg', 'text=héllo'));
        told('call', {
            text: textOf(result),
            structured: result.structuredContent,
            error: result.isError ?? false,
            said,
        });
        let code;
        ({ code, result } = await inspect(era, ...calling('fail'), '--tool-arg', 'why=no luck'));
        told('error', { text: textOf(result), error: result.isError, exit: code });
        ({ code, said } = await inspect(era, ...calling('nothing'), '--tool-arg', `key=${key()}`));
        told('unknown', { exit: code, message: said });
    }
});
