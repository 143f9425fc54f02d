// Builds the binary that the package ships: every chip of CMakeLists.txt, stripped, in prebuilds/linux-x64.
//
//   npm run release:native [-- --jobs=4]      builds
//   npm run release:native -- --check         only says whether the binary is there and loads
import { spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const packageFolder = fileURLToPath(new URL('..', import.meta.url));
const target = join(packageFolder, 'prebuilds/linux-x64/pergola_cuda.node');
const options = new Map(
  process.argv.slice(2).map((argument) => argument.replace(/^--/, '').split('=')),
);

function runOrThrow(command, args) {
  const { status, error } = spawnSync(command, args, { cwd: packageFolder, stdio: 'inherit' });
  if (error !== undefined)
    throw new Error(`build-release: ${command} could not be run.`, { cause: error });
  if (status !== 0) throw new Error(`build-release: ${command} ended with code ${status}.`);
}

function build() {
  const folder = join(packageFolder, 'build/release');
  const cmake = fileURLToPath(import.meta.resolve('cmake-js/bin/cmake-js'));
  const jobs = options.get('jobs') ?? String(availableParallelism());
  runOrThrow(process.execPath, [cmake, 'compile', '--out', folder, '--parallel', jobs]);
  mkdirSync(join(target, '..'), { recursive: true });
  const unfinished = `${target}.new`;
  copyFileSync(join(folder, 'Release/pergola_cuda.node'), unfinished);
  try {
    runOrThrow('strip', ['--strip-unneeded', unfinished]);
    renameSync(unfinished, target);
  } finally {
    rmSync(unfinished, { force: true });
  }
}

/** @throws Error unless the binary is there, can be loaded without a GPU and has launchers. */
function check() {
  if (!existsSync(target)) throw new Error(`build-release: ${target} was not built.`);
  const addon = createRequire(import.meta.url)(target);
  if (addon.launcher('attention') < 0) throw new Error('build-release: the binary has no kernels.');
  const needed = /GLIBC_(\d+\.\d+)/g;
  const versions = [...readFileSync(target).toString('latin1').matchAll(needed)].map(
    ([, version]) => version,
  );
  const newest = versions.sort((a, b) => a.localeCompare(b, 'en', { numeric: true })).at(-1);
  const size = (statSync(target).size / 2 ** 20).toFixed(1);
  console.log(`${target}: ${size} MiB, for glibc ${newest} and later`);
}

if (!options.has('check')) build();
check();
