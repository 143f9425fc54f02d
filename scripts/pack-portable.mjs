/**
 * Packs the built command, benchmark and backends into one archive for a Linux x64 machine that has Node.js and nothing
 * else: no npm, no network.
 *
 *   node scripts/pack-portable.mjs [--out out/portable.tar.xz] [--without-models]
 *
 * There, after `tar -xf`: `node portable/node_modules/@pergola/trellis/bin/pergola.js doctor`, or
 * `node portable/dist/gpu-main.js --device cuda`. Without models (27 MB), packages/trellis/models must be linked into
 * node_modules/@pergola/trellis.
 */
import { lstat, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { PACKAGE_MANAGER, setup } from './setup.mjs';
import { runOrExit } from './process.mjs';

/** What nothing reads at run time: types, maps, sources beside what was built of them, other platforms' binaries. */
const UNREAD = [
  /\.(d\.[cm]?ts|map|md|tsbuildinfo)$/,
  /^node_modules\/\.pnpm\/@(types|webgpu)\+/,
  /\/@pergola\/[^/]+\/src$/,
  /^(src|test)$/,
  /\/webgpu\/dist\/(darwin|win32|linux-arm64)/,
  /\/zod\/src$/,
];
const MODELS = /\/@pergola\/trellis\/models$/;

/** Removes from a folder, at any depth, the paths that one of the patterns matches. Links are left. */
async function prune(folder, patterns, base = folder) {
  for (const name of await readdir(folder)) {
    const path = join(folder, name);
    const status = await lstat(path);
    if (status.isSymbolicLink()) continue;
    const below = relative(base, path);
    if (patterns.some((pattern) => pattern.test(below))) await rm(path, { recursive: true });
    else if (status.isDirectory()) await prune(path, patterns, base);
  }
}

const { values } = parseArgs({
  options: {
    out: { type: 'string', default: 'out/portable.tar.xz' },
    'without-models': { type: 'boolean', default: false },
  },
});
const out = resolve(values.out);
await setup();
const base = await mkdtemp(join(tmpdir(), 'pergola-portable-'));
try {
  const folder = join(base, 'portable');
  const filter = ['--filter', '@pergola/bench', '--config.ignore-scripts=true'];
  await runOrExit('npx', [
    '-y',
    PACKAGE_MANAGER,
    ...filter,
    'deploy',
    '--prod',
    '--legacy',
    folder,
  ]);
  await prune(folder, values['without-models'] ? [...UNREAD, MODELS] : UNREAD);
  await mkdir(dirname(out), { recursive: true });
  await runOrExit('tar', ['-C', base, '-cJf', out, basename(folder)]);
} finally {
  await rm(base, { recursive: true, force: true });
}
