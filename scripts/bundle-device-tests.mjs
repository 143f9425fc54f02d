/**
 * Bundles test files into one module that runs without node_modules, for machines that have a GPU and nothing else.
 *
 *   node scripts/bundle-device-tests.mjs --backend cuda --out out/tests.mjs packages/trellis/test/models-slat.test.ts ...
 *   node scripts/bundle-device-tests.mjs --backend cuda --out out/bench.mjs --bench
 *   node scripts/bundle-device-tests.mjs --script packages/backend-cuda/scripts/check-device.mjs --out out/check-device.mjs
 *
 * With --bench it is the GPU benchmark instead, with the options of bench/src/gpu/bench.ts; with --script that script,
 * which opens its device itself.
 *
 * The bundle takes from the environment: PERGOLA_TEST_DEVICE, PERGOLA_TEST_DTYPE, PERGOLA_TESTDATA (a copy of testdata),
 * PERGOLA_GOLDEN_DIR, PERGOLA_TEST_FILTER (a regular expression), PERGOLA_TEST_VERBOSE=1, and the backend's native part:
 * PERGOLA_CUDA_ADDON (pergola_cuda.node) or PERGOLA_DAWN_NODE (dawn.node of the package webgpu).
 */
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { root } from './process.mjs';

const RUNNER = join(root, 'scripts/device-tests/runner.ts');
const ENTRY = '\0device-tests';
/** Native or optional packages: the bundled code must not call them. */
const ABSENT = new Set(['sharp', 'onnxruntime-web', 'onnxruntime-node', 'webgpu']);

/** What opens each backend in a bundle. */
const OPENERS = {
  cpu: [`import * as backend from '@pergola/core';`],
  cuda: [`import * as backend from '${join(root, 'packages/backend-cuda/src/index.ts')}';`],
  webgpu: [
    `import { createRequire } from 'node:module';`,
    `import { createWebGpuDevice } from '${join(root, 'packages/backend-webgpu/src/index.ts')}';`,
    `import { dawnFlags } from '${join(root, 'packages/backend-webgpu/src/instance.ts')}';`,
    `const dawn = createRequire(import.meta.url)(process.env.PERGOLA_DAWN_NODE);`,
    `Object.assign(globalThis, dawn.globals);`,
    // Held globally: Dawn ends the process when its instance is collected.
    `globalThis.pergolaDawn = dawn.create(dawnFlags({ development: false, extra: [] }));`,
    `const gpu = globalThis.pergolaDawn;`,
    `const backend = { createWebGpuDevice: (options) => createWebGpuDevice({ gpu, ...options }) };`,
  ],
};

/** What opens the device, as the backends' modules name it. */
const FUNCTIONS = {
  cpu: 'createCpuDevice',
  cuda: 'createCudaDevice',
  webgpu: 'createWebGpuDevice',
};

/** Source of the bundle's entry: the script, else the tests in these files, or the benchmark where there are none. */
function entrySource({ backend, files, script }) {
  if (script !== undefined) return `import '${join(root, script)}';`;
  if (files.length === 0) {
    return [
      ...OPENERS[backend],
      `import { runGpuBench } from '${join(root, 'bench/src/gpu/bench.ts')}';`,
      `await runGpuBench(process.argv.slice(2), () => backend.${FUNCTIONS[backend]}({}));`,
    ].join('\n');
  }
  return [
    ...OPENERS[backend],
    `import { declareFile, runDeclared } from '${RUNNER}';`,
    `import { provideBackend } from '${join(root, 'testdata/device.ts')}';`,
    `provideBackend('${backend}', backend);`,
    ...files.map((file) => `await declareFile('${file}', () => import('${join(root, file)}'));`),
    `await runDeclared();`,
  ].join('\n');
}

/** Resolves the entry, the test runner, the packages' sources and the absent packages. */
function plugin(options) {
  return {
    name: 'device-tests',
    resolveId(id) {
      if (id === ENTRY) return ENTRY;
      if (id === 'vitest') return RUNNER;
      const local = /^@pergola\/([^/]+)(\/conformance)?$/.exec(id);
      if (local !== null) {
        const file = local[2] === undefined ? 'index.ts' : 'conformance/index.ts';
        return join(root, 'packages', local[1], 'src', file);
      }
      if (ABSENT.has(id)) return `\0absent:${id}`;
      return undefined;
    },
    load(id) {
      if (id === ENTRY) return entrySource(options);
      if (!id.startsWith('\0absent:')) return undefined;
      const name = id.slice('\0absent:'.length);
      return `export default function absent() { throw new Error('${name} is not part of this bundle'); }`;
    },
  };
}

/** rolldown comes with vite, which comes with vitest. */
async function importBundler() {
  const vitest = createRequire(join(root, 'package.json')).resolve('vitest/package.json');
  const vite = createRequire(vitest).resolve('vite/package.json');
  return import(pathToFileURL(createRequire(vite).resolve('rolldown')).href);
}

/**
 * Writes one module with a script, with test files, or with the benchmark where there are neither.
 *
 * @param {{ backend: 'cpu' | 'cuda' | 'webgpu', out: string, files: readonly string[], script?: string }} options paths
 *   of files from the repository's root.
 */
export async function bundleDeviceTests(options) {
  const { out } = options;
  const { rolldown } = await importBundler();
  const bundle = await rolldown({
    input: ENTRY,
    platform: 'node',
    // As the packages are built: `using` is lowered.
    transform: { target: 'es2022' },
    plugins: [plugin(options)],
    logLevel: 'warn',
  });
  await bundle.write({ file: resolve(out), format: 'esm', codeSplitting: false });
  await bundle.close();
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      backend: { type: 'string', default: 'cpu' },
      out: { type: 'string', default: 'out/device-tests.mjs' },
      bench: { type: 'boolean', default: false },
      script: { type: 'string' },
    },
  });
  const wanted = [values.bench, values.script !== undefined, positionals.length > 0];
  if (!(values.backend in OPENERS) || wanted.filter(Boolean).length !== 1) {
    console.error(
      `usage: --backend ${Object.keys(OPENERS).join('|')} [--out FILE] (--bench | --script FILE | TEST_FILE...)`,
    );
    process.exit(2);
  }
  await bundleDeviceTests({ ...values, files: positionals });
}
