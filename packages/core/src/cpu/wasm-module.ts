/** WebAssembly kernels as they travel: base64 text made by scripts/build-wasm.mjs, and its way into bytes. */

/** A module of kernels. Every export is a job, `(args, begin, end, scratch)`; see `CpuPool.run`. */
export interface WasmModule {
  readonly name: string;
  /** Base64 of the module with plain SIMD: the same bits on every machine. */
  readonly plain: string;
  /** Base64 of the module with fused multiply-add, where it differs. */
  readonly relaxed?: string;
}

function decodeBase64(text: string): Uint8Array<ArrayBuffer> {
  const binary = atob(text);
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

/** An unsigned LEB128 number and the position behind it. */
function readNumber(bytes: Uint8Array, at: number): [value: number, next: number] {
  let value = 0;
  for (let shift = 0; ; shift += 7) {
    const byte = bytes[at++]!;
    value |= (byte & 127) << shift;
    if (byte < 128) return [value >>> 0, at];
  }
}

const IMPORT_SECTION = 2;
const MEMORY_IMPORT = 2;
const FLAG_SHARED = 2;

/**
 * Clears the shared flag of the memory import, which is the module's first import, in place. A module without atomic
 * waits is valid either way, so one binary serves both kinds of memory.
 */
function importPrivateMemory(bytes: Uint8Array): void {
  let at = 8;
  while (bytes[at] !== IMPORT_SECTION) {
    const [size, next] = readNumber(bytes, at + 1);
    at = next + size;
  }
  [, at] = readNumber(bytes, at + 1);
  [, at] = readNumber(bytes, at);
  for (let names = 0; names < 2; names++) {
    const [length, next] = readNumber(bytes, at);
    at = next + length;
  }
  if (bytes[at] === MEMORY_IMPORT) bytes[at + 1]! &= ~FLAG_SHARED;
}

/** Bytes of a module for a shared or private memory. */
export function moduleBytes(
  module: WasmModule,
  shared: boolean,
  relaxed: boolean,
): Uint8Array<ArrayBuffer> {
  const bytes = decodeBase64(relaxed ? (module.relaxed ?? module.plain) : module.plain);
  if (!shared) importPrivateMemory(bytes);
  return bytes;
}

/** True when this engine can run the module. */
export function engineRuns(module: WasmModule, shared: boolean, relaxed: boolean): boolean {
  return WebAssembly.validate(moduleBytes(module, shared, relaxed));
}
