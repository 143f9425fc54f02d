/**
 * Files by their location, a path or a URL, in Node: ranges are read when asked for, a file on disk is never held whole.
 * `file-source.browser.ts` has the same functions for browsers; `#file-source` is the one that fits.
 */
import { open, readFile, stat } from 'node:fs/promises';
import { resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { CheckpointError } from '@pergola/core';
import { isUrl } from './location.ts';
import { isUrlFile, readUrl, urlSource } from './url-source.ts';
import type { ClosableSource } from './weight-store.ts';

// Linux reads at most 2 GiB less a page per call; stay well below.
const MAX_READ_BYTES = 1 << 30;

/**
 * Opens a file for range reads. `close()` returns its handle; reading afterwards fails.
 *
 * A file that shrinks while it is open gives fewer bytes than asked for, which readers report as truncated.
 *
 * @throws CheckpointError when the file does not exist, cannot be read or is no regular file.
 */
export async function fileSource(path: string): Promise<ClosableSource> {
  if (isUrl(path)) return urlSource(path);
  const handle = await open(path, 'r').catch((cause: NodeJS.ErrnoException) => {
    const reason = cause.code === 'ENOENT' ? 'does not exist' : `cannot be opened (${cause.code})`;
    throw new CheckpointError(`${path}: the file ${reason}.`, { cause });
  });
  const status = await handle.stat();
  if (!status.isFile()) {
    await handle.close();
    throw new CheckpointError(`${path}: must be a file, got a folder or device.`);
  }
  let closing: Promise<void> | undefined;
  return {
    size: status.size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      let done = 0;
      while (done < length) {
        const wanted = Math.min(length - done, MAX_READ_BYTES);
        const { bytesRead } = await handle.read(bytes, done, wanted, offset + done);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      return done === length ? bytes : bytes.subarray(0, done);
    },
    close() {
      closing ??= handle.close();
      return closing;
    },
  };
}

/** The text of a file. @throws CheckpointError when it does not exist or cannot be read. */
export async function readText(path: string): Promise<string> {
  if (isUrl(path)) return new TextDecoder().decode(await readUrl(path));
  try {
    return await readFile(path, 'utf8');
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    const reason = code === 'ENOENT' ? 'does not exist' : `cannot be read (${code})`;
    throw new CheckpointError(`${path}: the file ${reason}.`, { cause });
  }
}

/** A location that does not depend on the current folder, with `/` between its parts. */
export function resolveLocation(location: string): string {
  return isUrl(location) ? location : resolve(location).replaceAll(sep, '/');
}

/** The location of a file of this package, given its URL. */
export function locationOf(url: URL): string {
  return fileURLToPath(url);
}

/** True for an existing regular file. */
export async function isFile(path: string): Promise<boolean> {
  if (isUrl(path)) return isUrlFile(path);
  return stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
}
