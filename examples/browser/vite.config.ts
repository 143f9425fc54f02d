/**
 * How the page is served and built. Both read the packages' sources, so that nothing needs compiling first but the CPU
 * kernels. A build holds the tiny model and the example pictures too: put it on any server of static files that sends
 * the headers of `ISOLATION_HEADERS`.
 */
import { cp } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { defaultClientConditions, defineConfig, type Plugin } from 'vite';
import { ISOLATION_HEADERS, serveFile, type Mounts } from './server/folder-server.ts';

const folder = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

/** What the page fetches beside its own files. */
const MOUNTS: Mounts = [
  ['/models/tiny', folder('../../packages/trellis/models/tiny')],
  ['/examples', folder('../../packages/trellis/examples')],
];

const bundledFolders: Plugin = {
  name: 'bundled-folders',
  configureServer({ middlewares }) {
    middlewares.use((request, response, next) => {
      serveFile(request, response, MOUNTS).then((sent) => (sent ? undefined : next()), next);
    });
  },
  async writeBundle({ dir }) {
    for (const [path, source] of MOUNTS) await cp(source, join(dir!, path), { recursive: true });
  },
};

// PERGOLA_TEST_DIST=1 takes the built packages instead.
const conditions = process.env['PERGOLA_TEST_DIST'] === '1' ? [] : ['source'];

export default defineConfig({
  root: folder('.'),
  base: './',
  appType: 'mpa',
  plugins: [bundledFolders],
  resolve: { conditions: [...conditions, ...defaultClientConditions] },
  server: { headers: ISOLATION_HEADERS },
  preview: { headers: ISOLATION_HEADERS },
  worker: { format: 'es' },
  // Both at once: a dependency found late would reload a page that is in use.
  optimizeDeps: { entries: ['index.html', 'src/worker.ts'] },
  build: { target: 'es2022', chunkSizeWarningLimit: 2000 },
});
