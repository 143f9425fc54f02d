/** Bundles a script of this folder into one file: `node scripts/bundle.mjs check-device.ts /tmp/check-device.mjs`. */
import { createRequire } from 'node:module';
import { basename, dirname, resolve } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';

const folder = dirname(fileURLToPath(import.meta.url));
const [script, target] = argv.slice(2);
if (script === undefined || target === undefined) {
  throw new Error('bundle: needs a script and a target file.');
}

// Vite is the test runner's; this package does not depend on it.
const vitest = createRequire(import.meta.url).resolve('vitest/package.json', {
  paths: [resolve(folder, '../../..')],
});
const { build } = await import(pathToFileURL(createRequire(vitest).resolve('vite')).href);

await build({
  root: folder,
  configFile: false,
  logLevel: 'warn',
  resolve: { conditions: ['source'] },
  ssr: { resolve: { conditions: ['source'] }, noExternal: true, external: ['webgpu'] },
  build: {
    ssr: resolve(folder, script),
    outDir: dirname(resolve(target)),
    emptyOutDir: false,
    minify: false,
    target: 'node20',
    rollupOptions: { output: { entryFileNames: basename(target), codeSplitting: false } },
  },
});
