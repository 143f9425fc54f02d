/** Makes a clone ready to run: installs dependencies and builds, each only when missing or stale. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { build } from './build.mjs';
import { root, runOrExit } from './process.mjs';

/** The package manager that npx fetches. */
export const PACKAGE_MANAGER = 'pnpm@10.34.9';
const STAMP = 'node_modules/.cache/pergola/install.txt';
const OLDEST_NODE = [20, 19];

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
  const [needMajor, needMinor] = OLDEST_NODE;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return;
  console.error(
    `Pergola needs Node.js ${OLDEST_NODE.join('.')} or newer, this is ${process.versions.node}.`,
  );
  process.exit(1);
}

async function install() {
  const lock = await readFile(join(root, 'pnpm-lock.yaml'));
  const wanted = createHash('sha256').update(lock).digest('hex');
  const current = await readFile(join(root, STAMP), 'utf8').catch(() => '');
  if (current === wanted) return;
  console.log('Installing dependencies.');
  await runOrExit('npx', ['-y', PACKAGE_MANAGER, 'install', '--frozen-lockfile']);
  await mkdir(join(root, STAMP, '..'), { recursive: true });
  await writeFile(join(root, STAMP), wanted);
}

/** Installs and builds what is missing; ends the process when that fails. */
export async function setup() {
  checkNode();
  await install();
  await build();
}

if (argv[1] === fileURLToPath(import.meta.url)) await setup();
