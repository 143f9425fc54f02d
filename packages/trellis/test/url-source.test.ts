/** Files on a web server: ranges, servers without them, and servers that fail. */
import { createCpuDevice, CheckpointError, openSafetensors, writeSafetensors } from '@pergola/core';
import { fileSource, ImageTo3D, isFile, urlSource, type PixelImage } from '@pergola/trellis';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { folderOf, isAbsoluteLocation, joinLocation, nameOf } from '../src/checkpoints/location.ts';
import { writeMicroModel } from './micro-model.ts';

// Three blocks of the reader, and a piece.
const LARGE = Uint8Array.from({ length: 13 * 2 ** 20 + 77 }, (_, i) => (i * 2654435761) >>> 24);
const SMALL = writeSafetensors([
  { name: 'a', dtype: 'f32', shape: [2], data: Float32Array.of(1, 2) },
  { name: 'b', dtype: 'u8', shape: [3], data: Uint8Array.of(7, 8, 9) },
]);

let server: Server;
let base = '';
let folder = '';
/** `HEAD`, `GET`, or the range of each request. */
let seen: string[] = [];

/** Answers with ranges unless the path says otherwise. */
async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
  const { pathname } = new URL(request.url!, 'http://localhost');
  const range = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? '');
  seen.push(range?.[0] ?? request.method!);
  const [, kind, ...rest] = pathname.split('/');
  if (kind === 'broken') return void response.writeHead(503).end();
  if (kind === 'pages') {
    return void response.writeHead(200, { 'content-type': 'text/html' }).end('<p>Start</p>');
  }
  const name = rest.join('/');
  const body =
    name === 'large'
      ? LARGE
      : name === 'small'
        ? SMALL
        : await readFile(join(folder, name)).catch(() => undefined);
  if (body === undefined) return void response.writeHead(404).end();
  const head = request.method === 'HEAD';
  if (kind === 'gzip') {
    const packed = gzipSync(body, { level: 1 });
    response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': packed.length });
    return void response.end(head ? undefined : packed);
  }
  if (range === null || kind === 'plain') {
    const length = kind === 'changing' && !head ? body.length - 1 : body.length;
    response.writeHead(200, { 'content-length': length });
    return void response.end(head ? undefined : body.subarray(0, length));
  }
  const [start, end] = [Number(range[1]), Number(range[2])];
  const cut = kind === 'changing' ? 1 : 0;
  response.writeHead(206, { 'content-range': `bytes ${start}-${end}/${body.length}` });
  response.end(body.subarray(start, end + 1 - cut));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'pergola-url-'));
  server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await new Promise((resolve) => server.close(resolve));
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => void (seen = []));

/** One of the three ways to serve a file. */
describe.each(['ranges', 'plain', 'gzip'])('a server of kind %s', (kind) => {
  test('gives any bytes', async () => {
    const source = await urlSource(`${base}/${kind}/large`);
    expect(source.size).toBe(LARGE.length);
    const block = 4 * 2 ** 20;
    for (const [offset, length] of [
      [0, 8],
      [block - 3, 6],
      [block + 1, 2 * block],
      [LARGE.length - 5, 5],
      [17, 0],
    ] as const) {
      const bytes = await source.read(offset, length);
      expect(Buffer.compare(bytes, LARGE.subarray(offset, offset + length))).toBe(0);
    }
    expect(await source.read(LARGE.length - 5, 9)).toEqual(LARGE.slice(-5));
    await source.close();
  });

  test('gives tensors', async () => {
    const file = await openSafetensors(await fileSource(`${base}/${kind}/small`));
    expect((await file.read('b')).data).toEqual(Uint8Array.of(7, 8, 9));
    expect((await file.read('a')).data).toEqual(Float32Array.of(1, 2));
  });
});

test('neighbours come with one request, large tensors with their own', async () => {
  const source = await urlSource(`${base}/ranges/large`);
  for (let at = 0; at < 100; at += 10) await source.read(at, 10);
  expect(seen).toEqual(['HEAD', 'bytes=0-4194303']);
  await source.read(5, 6 * 2 ** 20);
  expect(seen[2]).toBe('bytes=5-6291460');
});

test('without ranges the file is fetched once', async () => {
  const source = await urlSource(`${base}/plain/large`);
  await source.read(0, 8);
  await source.read(9 * 2 ** 20, 8);
  expect(seen).toEqual(['HEAD', 'bytes=0-4194303']);
});

test('reads that return are the caller’s', async () => {
  const source = await urlSource(`${base}/ranges/small`);
  (await source.read(0, 8)).fill(255);
  expect(await source.read(0, 8)).toEqual(SMALL.slice(0, 8));
});

test('failures are one sentence', async () => {
  const refuse = async (location: string, message: RegExp): Promise<void> => {
    const error: unknown = await urlSource(location).then(
      (source) => source.read(0, 8),
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(CheckpointError);
    expect((error as Error).message).toMatch(message);
  };
  await refuse(`${base}/ranges/none`, /^http:.*none: the file does not exist\.$/);
  await refuse(`${base}/pages/none`, /none: the file does not exist\.$/);
  await refuse(`${base}/broken/x`, /x: the file cannot be fetched \(HTTP 503\)\.$/);
  await refuse('http://127.0.0.1:1/x', /x: the file cannot be fetched \(.+\)\.$/);
  const changing = await urlSource(`${base}/changing/large`);
  await expect(changing.read(0, 8)).rejects.toThrow(/the file changed while it was read/);
});

test('isFile tells what is there', async () => {
  expect(await isFile(`${base}/ranges/small`)).toBe(true);
  expect(await isFile(`${base}/ranges/none`)).toBe(false);
  expect(await isFile(`${base}/pages/none.json`)).toBe(false);
  await expect(isFile(`${base}/broken/x`)).rejects.toThrow(CheckpointError);
});

test('a model set on a server gives what the folder gives', async () => {
  await writeMicroModel(folder);
  using device = await createCpuDevice();
  const size = 32;
  const data = new Uint8Array(size * size * 4);
  for (let i = 0; i < size * size; i++) {
    if (Math.hypot((i % size) - 16, Math.floor(i / size) - 16) < 11)
      data.set([9, i, 90, 255], i * 4);
  }
  const image: PixelImage = { width: size, height: size, channels: 4, data };
  const run = async (location: string) => {
    using pipeline = await ImageTo3D.load(location, { device });
    return await pipeline.run(image, { steps: 1, formats: ['gaussians'] });
  };
  expect(await run(`${base}/ranges`)).toEqual(await run(folder));
});

test('locations are paths and URLs alike', () => {
  expect(joinLocation('https://a.b/models/', 'ckpts/x', 'y')).toBe('https://a.b/models/ckpts/x/y');
  expect(joinLocation('/', 'a')).toBe('/a');
  expect(folderOf('https://a.b/models/tiny/')).toBe('https://a.b/models');
  expect([folderOf('/a'), folderOf('a'), folderOf('a/b')]).toEqual(['/', '.', 'a']);
  expect([nameOf('a/b'), nameOf('b'), nameOf('/a/b/')]).toEqual(['b', 'b', 'b']);
  expect(['/a', 'C:\\a', 'https://a', 'a', 'c:a'].map(isAbsoluteLocation)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
});
