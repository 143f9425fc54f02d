/**
 * `npm start`: sets up what is missing, then turns a picture into a 3D asset in out/.
 *
 * Without arguments it takes a bundled picture; arguments go to `pergola generate`:
 * `npm start -- my.png --seed 3`.
 */
import { execPath } from 'node:process';
import { run } from './process.mjs';
import { setup } from './setup.mjs';

const EXAMPLE = 'packages/trellis/examples/00_chair.png';

await setup();
const given = process.argv.slice(2);
const args = given.length > 0 ? given : [EXAMPLE];
if (!args.some((arg) => /^(-o|--out)(=|$)/.test(arg))) args.push('--out', 'out');
process.exitCode = await run(execPath, ['packages/trellis/bin/pergola.js', 'generate', ...args]);
