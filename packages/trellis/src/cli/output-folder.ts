/**
 * Writes the files of a run so that either all of them appear, or none: each goes to a temporary name in the same folder
 * first, then all are renamed.
 */
import { mkdir, rename, rm, rmdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { InputError } from '@pergola/core';

/** A file to be. */
export interface OutputFile {
  /** Without folder. */
  readonly name: string;
  readonly data: Uint8Array;
}

/** A file that was written. */
export interface WrittenFile {
  readonly path: string;
  readonly bytes: number;
}

function reason(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  const known: Readonly<Record<string, string>> = {
    EACCES: 'no permission',
    EPERM: 'no permission',
    EROFS: 'the file system is read-only',
    ENOSPC: 'the disk is full',
    ENOTDIR: 'a part of the path is a file',
    EEXIST: 'a file has that name',
    EISDIR: 'a folder has that name',
    ENOENT: 'it cannot be created there',
  };
  return known[code ?? ''] ?? (error instanceof Error ? error.message : String(error));
}

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

/** Folders of `path` that do not exist yet, the innermost first. */
async function missingFolders(path: string): Promise<string[]> {
  const missing: string[] = [];
  for (let at = path; !(await exists(at)); at = dirname(at)) {
    missing.push(at);
    if (dirname(at) === at) break;
  }
  return missing;
}

/** A folder that can be written to. */
export class OutputFolder {
  readonly path: string;
  /** Folders made by `open`, the innermost first. */
  readonly #made: readonly string[];
  #counter = 0;

  private constructor(path: string, made: readonly string[]) {
    this.path = path;
    this.#made = made;
  }

  /**
   * Creates the folder if need be and tries to write in it.
   *
   * @throws InputError when that fails, before anything was computed.
   */
  static async open(path: string): Promise<OutputFolder> {
    const full = resolve(path);
    const missing = await missingFolders(full);
    const folder = new OutputFolder(full, missing);
    try {
      // One by one: the recursive mkdir of Node.js never returns where the system refuses new folders, as in /proc.
      for (const path of missing.toReversed()) await mkdir(path);
      const probe = folder.#temporary('probe');
      try {
        await writeFile(probe, '');
      } finally {
        await rm(probe, { force: true });
      }
      return folder;
    } catch (error) {
      await folder.abandon();
      throw new InputError(`output folder: ${path} cannot be written to (${reason(error)}).`, {
        cause: error,
      });
    }
  }

  #temporary(name: string): string {
    return join(this.path, `.${name}.${process.pid}-${this.#counter++}.tmp`);
  }

  /**
   * Writes all files or none. Files of the same names are replaced.
   *
   * @throws InputError when the disk is full, or a name is taken by a folder; the signal's reason when it was aborted.
   */
  async write(files: readonly OutputFile[], signal?: AbortSignal): Promise<WrittenFile[]> {
    const staged: { readonly from: string; readonly to: string }[] = [];
    try {
      for (const { name, data } of files) {
        const from = this.#temporary(name);
        staged.push({ from, to: join(this.path, name) });
        await writeFile(from, data, signal === undefined ? {} : { signal });
      }
      signal?.throwIfAborted();
      await this.#publish(staged);
    } catch (error) {
      await Promise.all(staged.map(({ from }) => rm(from, { force: true })));
      signal?.throwIfAborted();
      throw new InputError(`output folder: ${this.path} cannot be written to (${reason(error)}).`, {
        cause: error,
      });
    }
    return files.map(({ name, data }) => ({ path: join(this.path, name), bytes: data.length }));
  }

  /** Renames all, or puts everything back. */
  async #publish(staged: readonly { readonly from: string; readonly to: string }[]): Promise<void> {
    const replaced: { readonly target: string; readonly backup: string }[] = [];
    const done: string[] = [];
    try {
      for (const { from, to } of staged) {
        const found = await stat(to).catch(() => undefined);
        if (found?.isDirectory() === true) {
          throw Object.assign(new Error(to), { code: 'EISDIR' });
        }
        if (found !== undefined) {
          const backup = this.#temporary(basename(to));
          await rename(to, backup);
          replaced.push({ target: to, backup });
        }
        await rename(from, to);
        done.push(to);
      }
    } catch (error) {
      await Promise.all(done.map((path) => rm(path, { force: true })));
      await Promise.all(replaced.map(({ target, backup }) => rename(backup, target)));
      throw error;
    }
    await Promise.all(replaced.map(({ backup }) => rm(backup, { force: true })));
  }

  /** Removes the folders that `open` made, as far as they are still empty. */
  async abandon(): Promise<void> {
    for (const path of this.#made) {
      const removed = await rmdir(path).then(
        () => true,
        () => false,
      );
      if (!removed) return;
    }
  }
}
