import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { defineConfig, type Plugin } from 'vitest/config';

// PERGOLA_TEST_DIST=1 runs the tests against the built packages; otherwise against their sources.
const built = process.env['PERGOLA_TEST_DIST'] === '1';
const conditions = built ? [] : ['source'];

/** Sends a test's relative imports of sources to the built files, so that no module is loaded in two versions. */
const builtSources: Plugin = {
  name: 'built-sources',
  enforce: 'pre',
  resolveId(id, importer) {
    const match = /^((?:\.\.\/)+(?:packages\/[^/]+\/)?)src\/(.+)\.ts$/.exec(id);
    if (!built || match === null || !/\/test(data)?\//.test(importer ?? '')) return undefined;
    return new URL(`${match[1]}dist/${match[2]}.js`, `file://${importer}`).pathname;
  },
};

// Without a GPU, WebGPU is tested on SwiftShader, the software Vulkan driver in Debian's chromium, with that package's
// Vulkan loader. The dynamic linker reads the path when a worker starts, so it is set here.
const CHROMIUM = '/usr/lib/chromium';
const hasGpu = ['/dev/dri', '/dev/nvidiactl'].some((path) => existsSync(path));
if (!hasGpu && existsSync(`${CHROMIUM}/vk_swiftshader_icd.json`)) {
  process.env['VK_ICD_FILENAMES'] ??= `${CHROMIUM}/vk_swiftshader_icd.json`;
  process.env['LD_LIBRARY_PATH'] = [process.env['LD_LIBRARY_PATH'], CHROMIUM]
    .filter((path) => path !== undefined && path !== '')
    .join(':');
}
process.env['XDG_RUNTIME_DIR'] ??= tmpdir();

export default defineConfig({
  plugins: [builtSources],
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: [
      'packages/*/test/**/*.test.ts',
      'bench/test/**/*.test.ts',
      'examples/test/**/*.test.ts',
      'examples/browser/test/**/*.test.ts',
    ],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 2,
  },
});
