/** Serves folders over HTTP: with ranges, and with the headers that let a page share memory between its threads. */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { extname, join, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';

/** Folder on disk by the URL path under which it appears; the first path that fits counts. */
export type Mounts = readonly (readonly [path: string, folder: string])[];

/** Without both headers browsers give a page no `SharedArrayBuffer`. */
export const ISOLATION_HEADERS: Readonly<Record<string, string>> = {
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Embedder-Policy': 'require-corp',
};

const TYPES: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
};

/** Where a URL's file would lie; `undefined` outside the mounts. */
function fileOf(url: string, mounts: Mounts): string | undefined {
  // The parser resolves `..`, also where it is written with escapes.
  const path = decodeURIComponent(new URL(url, 'http://localhost').pathname);
  if (path.includes('\0') || path.split(/[\\/]/).includes('..')) return undefined;
  for (const [mount, folder] of mounts) {
    const base = mount.endsWith('/') ? mount : `${mount}/`;
    if (!path.startsWith(base)) continue;
    return join(folder, ...path.slice(base.length).split('/')).replace(new RegExp(`\\${sep}$`), '');
  }
  return undefined;
}

/** First and last byte wanted, or `undefined` for all. */
function rangeOf(header: string | undefined, size: number): [number, number] | undefined {
  const match = /^bytes=(\d+)-(\d*)$/.exec(header ?? '');
  if (match === null) return undefined;
  const start = Number(match[1]);
  const end = Math.min(size - 1, match[2] === '' ? size - 1 : Number(match[2]));
  return start <= end ? [start, end] : undefined;
}

/** Answers a request for a file. @returns false when there is none, with nothing sent. */
export async function serveFile(
  request: IncomingMessage,
  response: ServerResponse,
  mounts: Mounts,
): Promise<boolean> {
  const found = fileOf(request.url ?? '/', mounts);
  if (found === undefined) return false;
  let status = await stat(found).catch(() => undefined);
  const path = status?.isDirectory() === true ? join(found, 'index.html') : found;
  if (path !== found) status = await stat(path).catch(() => undefined);
  if (status?.isFile() !== true) return false;
  const range = rangeOf(request.headers.range, status.size);
  const [start, end] = range ?? [0, status.size - 1];
  response.writeHead(range === undefined ? 200 : 206, {
    'Content-Type': TYPES[extname(path)] ?? 'application/octet-stream',
    'Content-Length': end - start + 1,
    'Accept-Ranges': 'bytes',
    ...(range === undefined ? {} : { 'Content-Range': `bytes ${start}-${end}/${status.size}` }),
  });
  if (request.method === 'HEAD' || status.size === 0) response.end();
  else await pipeline(createReadStream(path, { start, end }), response).catch(() => {});
  return true;
}

/** A server that was started. */
export interface FolderServer {
  /** `http://127.0.0.1:<port>`. */
  readonly url: string;
  close(): Promise<void>;
}

/**
 * Starts a server on a free port of this machine.
 *
 * @param headers sent with every answer. Default `ISOLATION_HEADERS`.
 */
export async function startFolderServer(
  mounts: Mounts,
  headers: Readonly<Record<string, string>> = ISOLATION_HEADERS,
): Promise<FolderServer> {
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (!(await serveFile(request, response, mounts))) response.writeHead(404).end();
  };
  const server: Server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      response.writeHead(500).end(String(error));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
