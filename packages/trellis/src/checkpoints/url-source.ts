/** Files on a web server as byte sources: ranges are requested when asked for, where the server grants them. */
import { CheckpointError } from '@pergola/core';
import type { ClosableSource } from './weight-store.ts';

// Tensors are read one after the other and are mostly small: neighbours come with one request.
const BLOCK_BYTES = 4 * 2 ** 20;
const KEPT_BLOCKS = 8;

async function request(url: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(url, init);
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CheckpointError(`${url}: the file cannot be fetched (${reason}).`, { cause });
  }
}

/** Development servers answer unknown paths with their start page. */
function isFound({ ok, headers }: Response): boolean {
  return ok && headers.get('content-type')?.startsWith('text/html') !== true;
}

function refused(url: string, response: Response): CheckpointError {
  const { ok, status } = response;
  return ok || status === 404 || status === 410
    ? new CheckpointError(`${url}: the file does not exist.`)
    : new CheckpointError(`${url}: the file cannot be fetched (HTTP ${status}).`);
}

async function download(url: string): Promise<Uint8Array> {
  const response = await request(url, {});
  if (!isFound(response)) throw refused(url, response);
  return new Uint8Array(await response.arrayBuffer());
}

/** Bytes of the file, or `undefined` where the server tells only those of a compressed transfer, or none. */
function sizeFrom({ headers }: Response): number | undefined {
  const length = headers.get('content-length');
  if (length === null || headers.get('content-encoding') !== null) return undefined;
  return Number(length);
}

/** Reads of a file whose server grants ranges; becomes a file in memory when it turns out not to. */
class RangeReader {
  readonly #url: string;
  readonly #size: number;
  /** By index, the one used longest ago first. */
  readonly #blocks = new Map<number, Promise<Uint8Array>>();
  #whole: Uint8Array | undefined;

  constructor(url: string, size: number) {
    this.#url = url;
    this.#size = size;
  }

  async read(offset: number, length: number): Promise<Uint8Array> {
    const end = Math.min(this.#size, offset + length);
    if (end <= offset) return new Uint8Array(0);
    if (this.#whole === undefined && end - offset > BLOCK_BYTES) return this.#fetch(offset, end);
    const bytes = new Uint8Array(end - offset);
    for (let at = offset; at < end;) {
      const index = Math.floor(at / BLOCK_BYTES);
      const start = index * BLOCK_BYTES;
      const block = await this.#block(index);
      const part = block.subarray(at - start, end - start);
      bytes.set(part, at - offset);
      at += part.length;
    }
    return bytes;
  }

  forget(): void {
    this.#blocks.clear();
    this.#whole = undefined;
  }

  #block(index: number): Promise<Uint8Array> {
    const known = this.#blocks.get(index);
    this.#blocks.delete(index);
    const start = index * BLOCK_BYTES;
    const block = known ?? this.#fetch(start, Math.min(this.#size, start + BLOCK_BYTES));
    this.#blocks.set(index, block);
    for (const oldest of this.#blocks.keys()) {
      if (this.#blocks.size <= KEPT_BLOCKS) break;
      this.#blocks.delete(oldest);
    }
    return block;
  }

  async #fetch(start: number, end: number): Promise<Uint8Array> {
    if (this.#whole !== undefined) return this.#whole.slice(start, end);
    const response = await request(this.#url, { headers: { Range: `bytes=${start}-${end - 1}` } });
    if (!isFound(response)) throw refused(this.#url, response);
    const bytes = new Uint8Array(await response.arrayBuffer());
    const ranged = response.status === 206;
    if (bytes.length !== (ranged ? end - start : this.#size)) {
      throw new CheckpointError(
        `${this.#url}: the file changed while it was read, or its transfer broke off.`,
      );
    }
    if (ranged) return bytes;
    this.#whole = bytes;
    return bytes.slice(start, end);
  }
}

/**
 * Opens a file on a web server for range reads.
 *
 * Where the server does not grant ranges, the file is downloaded once and stays in memory until `close()`.
 *
 * @throws CheckpointError when there is no such file or the server cannot be reached.
 */
export async function urlSource(url: string): Promise<ClosableSource> {
  const response = await request(url, { method: 'HEAD' });
  if (!isFound(response)) throw refused(url, response);
  const size = sizeFrom(response);
  if (size === undefined) {
    let bytes = await download(url);
    return {
      size: bytes.length,
      read: async (offset, length) => bytes.slice(offset, offset + length),
      close: async () => void (bytes = new Uint8Array(0)),
    };
  }
  const reader = new RangeReader(url, size);
  return {
    size,
    read: (offset, length) => reader.read(offset, length),
    close: async () => reader.forget(),
  };
}

/** True when a web server has such a file. @throws CheckpointError when the server fails or cannot be reached. */
export async function isUrlFile(url: string): Promise<boolean> {
  const response = await request(url, { method: 'HEAD' });
  if (response.status >= 500) throw refused(url, response);
  return isFound(response);
}

/** A file on a web server as bytes. @throws CheckpointError when it does not exist or cannot be fetched. */
export async function readUrl(url: string): Promise<Uint8Array> {
  return download(url);
}
