/** Rules of the repository that no linter knows: a portable lockfile, and files that one can read in a sitting. */
import { readdir, readFile } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { argv } from 'node:process';
import { fileURLToPath } from 'node:url';
import { takesTestDevice } from './golden-tests.mjs';
import { root } from './process.mjs';

const MAX_LINES = 500;
const FOLDERS = ['packages', 'bench', 'examples', 'scripts'];

/** Source files of the packages and scripts. */
async function sourceFiles() {
  const files = [];
  for (const folder of FOLDERS) {
    const entries = await readdir(join(root, folder), { recursive: true }).catch(() => []);
    for (const entry of entries) {
      const parts = entry.split(sep);
      if (parts.includes('node_modules') || parts.includes('dist')) continue;
      if (/\.(ts|mjs)$/.test(entry) && !entry.endsWith('.generated.ts')) {
        files.push(join(folder, entry));
      }
    }
  }
  return files;
}

/** @returns {Promise<string[]>} the rules that are broken, a sentence each. */
export async function checkRepository() {
  const problems = [];
  const lock = await readFile(join(root, 'pnpm-lock.yaml'), 'utf8');
  const host = /https?:\/\/[^\s'"}]+|tarball:/.exec(lock);
  if (host !== null) problems.push(`pnpm-lock.yaml must name no registry, it has ${host[0]}.`);
  for (const path of await sourceFiles()) {
    const text = await readFile(join(root, path), 'utf8');
    const lines = text.split('\n').length - 1;
    if (lines > MAX_LINES) problems.push(`${path} has ${lines} lines, at most ${MAX_LINES} fit.`);
    if (takesTestDevice(text) && !path.endsWith('.test.ts')) {
      problems.push(
        `${path} must leave testdata/device.ts to test files: the golden run finds them by that import.`,
      );
    }
  }
  return problems;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  const problems = await checkRepository();
  for (const problem of problems) console.error(problem);
  process.exitCode = problems.length > 0 ? 1 : 0;
}
