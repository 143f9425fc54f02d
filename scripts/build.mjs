/** Builds what is stale: the CPU kernels' WebAssembly, then every package. `node scripts/build.mjs` or `npm run build`. */
import { argv, execPath } from 'node:process';
import { fileURLToPath } from 'node:url';
import { installed, runOrExit } from './process.mjs';

/** Builds what is stale; ends the process when that fails. */
export async function build() {
  // Imported late: it needs the installed compiler, which `setup` may only just have brought.
  const { buildWasm } = await import('./build-wasm.mjs');
  await buildWasm();
  await runOrExit(execPath, [installed('typescript/bin/tsc'), '-b']);
}

if (argv[1] === fileURLToPath(import.meta.url)) await build();
