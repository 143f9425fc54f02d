/**
 * The table of contents of a zip file whose entries are stored without compression, as torch writes them.
 *
 * @see PKWARE, APPNOTE.TXT - .ZIP File Format Specification, sections 4.3 and 4.4
 */
import { CheckpointError, type ByteSource } from '@pergola/core';

/** Where the bytes of an entry lie in the file. */
export interface ZipEntry {
  readonly byteOffset: number;
  readonly byteLength: number;
}

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
const CENTRAL_SIGNATURE = 0x02014b50;
const CENTRAL_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
// A comment of at most this length follows the end record.
const MAX_COMMENT = 65535;
// In a 32-bit field: the value is in a 64-bit extension.
const SEE_EXTENSION = 0xffffffff;
const EXTENSION_ID = 1;

function fail(message: string): never {
  throw new CheckpointError(`zip: ${message}.`);
}

async function readView(source: ByteSource, offset: number, length: number): Promise<DataView> {
  const bytes = await source.read(offset, length);
  if (bytes.length !== length) fail(`the file is truncated (${length} bytes needed at ${offset})`);
  return new DataView(bytes.buffer, bytes.byteOffset, length);
}

/** Position and extent of the central directory. */
async function findDirectory(
  source: ByteSource,
): Promise<{ start: number; bytes: number; entries: number }> {
  const length = Math.min(source.size, END_BYTES + MAX_COMMENT);
  const tail = await readView(source, source.size - length, length);
  for (let at = length - END_BYTES; at >= 0; at--) {
    if (tail.getUint32(at, true) !== END_SIGNATURE) continue;
    const [entries, bytes, start] = [
      tail.getUint16(at + 10, true),
      tail.getUint32(at + 12, true),
      tail.getUint32(at + 16, true),
    ];
    if (start === SEE_EXTENSION || bytes === SEE_EXTENSION || entries === 0xffff) {
      return fail('archives of more than 4 GiB or 65534 entries are not supported');
    }
    if (start + bytes > source.size) fail('the directory leaves the file');
    return { start, bytes, entries };
  }
  return fail('the file is not a zip archive');
}

/** Offset of the local header, which may be in a 64-bit extension. */
function localOffset(view: DataView, at: number, nameLength: number, extraLength: number): number {
  const offset = view.getUint32(at + 42, true);
  if (offset !== SEE_EXTENSION) return offset;
  const end = at + CENTRAL_BYTES + nameLength + extraLength;
  for (let extra = at + CENTRAL_BYTES + nameLength; extra + 4 <= end;) {
    const [id, size] = [view.getUint16(extra, true), view.getUint16(extra + 2, true)];
    if (id === EXTENSION_ID && size >= 8 && extra + 4 + size <= end) {
      // The offset is the last of the values that did not fit.
      return Number(view.getBigUint64(extra + 4 + size - 8, true));
    }
    extra += 4 + size;
  }
  return fail('an entry has no offset');
}

/**
 * Reads the directory.
 *
 * @returns entries by name.
 * @throws CheckpointError when the file is no zip, is damaged, or an entry is compressed.
 */
export async function readZipDirectory(source: ByteSource): Promise<Map<string, ZipEntry>> {
  const { start, bytes, entries } = await findDirectory(source);
  const view = await readView(source, start, bytes);
  const result = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < entries; i++) {
    if (at + CENTRAL_BYTES > bytes || view.getUint32(at, true) !== CENTRAL_SIGNATURE) {
      fail('the directory is damaged');
    }
    const method = view.getUint16(at + 10, true);
    const byteLength = view.getUint32(at + 24, true);
    const [nameLength, extraLength, commentLength] = [28, 30, 32].map((field) =>
      view.getUint16(at + field, true),
    ) as [number, number, number];
    if (at + CENTRAL_BYTES + nameLength + extraLength + commentLength > bytes) {
      fail('the directory is damaged');
    }
    const name = new TextDecoder().decode(
      new Uint8Array(view.buffer, view.byteOffset + at + CENTRAL_BYTES, nameLength),
    );
    if (method !== 0) fail(`entry ${name} must be stored without compression`);
    const header = localOffset(view, at, nameLength, extraLength);
    result.set(name, { byteOffset: header, byteLength });
    at += CENTRAL_BYTES + nameLength + extraLength + commentLength;
  }
  return result;
}

/**
 * The data of an entry: its local header has a name and padding of its own length.
 *
 * @throws CheckpointError when the header is damaged or the data leaves the file.
 */
export async function locateZipData(source: ByteSource, entry: ZipEntry): Promise<ZipEntry> {
  if (entry.byteOffset + LOCAL_BYTES > source.size) fail('an entry leaves the file');
  const view = await readView(source, entry.byteOffset, LOCAL_BYTES);
  if (view.getUint32(0, true) !== LOCAL_SIGNATURE) fail('an entry has no header');
  const skip = LOCAL_BYTES + view.getUint16(26, true) + view.getUint16(28, true);
  const byteOffset = entry.byteOffset + skip;
  if (byteOffset + entry.byteLength > source.size) fail('an entry leaves the file');
  return { byteOffset, byteLength: entry.byteLength };
}
