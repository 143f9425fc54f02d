/** Running child processes from the project's scripts. */
import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The repository's root folder. */
export const root = fileURLToPath(new URL('..', import.meta.url));

/** Ctrl-C reaches the child as well: it ends in its own time, and its exit code is reported. */
function wait() {}

/**
 * Runs a command in the repository root, with its output on ours.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env] on top of our own environment.
 * @returns {Promise<number>} the exit code; 128 + n when a signal ended it.
 */
export function run(command, args, env = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: root,
      stdio: 'inherit',
      env: { ...process.env, ...env },
      // npx is a script on Windows, which only a shell can start.
      shell: process.platform === 'win32' && command === 'npx',
    });
    process.on('SIGINT', wait);
    child.on('error', reject);
    child.on('close', (code, signal) => {
      process.off('SIGINT', wait);
      resolve(code ?? (signal === 'SIGINT' ? 130 : 128));
    });
  });
}

/**
 * Runs a command and ends this process with its code if it fails.
 *
 * @param {string} command
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 */
export async function runOrExit(command, args, env) {
  const code = await run(command, args, env);
  if (code !== 0) process.exit(code);
}

/**
 * Path of a file in an installed package, from the root's dependencies.
 *
 * @param {string} path below node_modules.
 */
export function installed(path) {
  return fileURLToPath(new URL(`../node_modules/${path}`, import.meta.url));
}
