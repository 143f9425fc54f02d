/** Host bytes into device memory, in the order of the calls. */
import type { GpuBuffer } from './buffers.ts';
import type { WebGpuContext } from './context.ts';
import type { StagingRing } from './staging.ts';
import { BUFFER_USAGE } from './usage.ts';

/** Replaces some bytes of one word; copies between buffers move whole words only. */
function patchWord(
  context: WebGpuContext,
  buffer: GpuBuffer,
  word: number,
  bytes: Uint8Array,
  shift: number,
): void {
  let bits = 0;
  let mask = 0;
  bytes.forEach((byte, i) => {
    bits |= byte << (8 * (shift + i));
    mask |= 0xff << (8 * (shift + i));
  });
  const program = context.program({
    label: 'patchWord',
    bindings: [{ name: 'data', dtype: 'u32', use: 'readWrite' }],
    params: { word: 'u32', mask: 'u32', bits: 'u32' },
    each: 'element',
    workgroup: 1,
    body: `
fn run(index: u32) {
  store_data(params.word, (load_data(params.word) & ~params.mask) | params.bits);
}`,
  });
  const params = program.pack({ word, mask: mask >>> 0, bits: bits >>> 0 });
  context.launch(program, [{ buffer, offset: 0 }], params, 1);
}

/** A step being recorded replays its uploads: they get a buffer of their own. */
function uploadConstant(
  context: WebGpuContext,
  target: GpuBuffer,
  targetOffset: number,
  source: Uint8Array<ArrayBuffer>,
): void {
  const constant = context.gpu.createBuffer({
    label: 'recorded upload',
    size: source.length,
    usage: BUFFER_USAGE.copySource | BUFFER_USAGE.copyTarget,
  });
  context.gpu.queue.writeBuffer(constant, 0, source);
  context.recording!.constants.push(constant);
  context.commands.push({
    kind: 'copy',
    source: constant,
    sourceOffset: 0,
    target,
    targetOffset,
    bytes: source.length,
  });
}

/** Whole words, through the staging ring. */
function uploadWords(
  context: WebGpuContext,
  staging: StagingRing,
  target: GpuBuffer,
  targetOffset: number,
  source: Uint8Array<ArrayBuffer>,
): void {
  if (context.recording !== undefined) {
    uploadConstant(context, target, targetOffset, source);
    return;
  }
  for (let done = 0; done < source.length;) {
    const piece = staging.stage(source.subarray(done));
    if (piece === undefined) {
      // The ring is in flight: the queue writes at once, so earlier work must be submitted before.
      context.commands.flush();
      context.gpu.queue.writeBuffer(target.handle, targetOffset + done, source.subarray(done));
      return;
    }
    context.commands.push({
      kind: 'copy',
      source: piece.buffer,
      sourceOffset: piece.offset,
      target,
      targetOffset: targetOffset + done,
      bytes: piece.bytes,
    });
    done += piece.bytes;
  }
}

/** Enqueues the upload of any range of bytes. `source` may be reused at once. */
export function upload(
  context: WebGpuContext,
  staging: StagingRing,
  target: GpuBuffer,
  byteOffset: number,
  source: Uint8Array<ArrayBuffer>,
): void {
  const head = Math.min(source.length, (4 - (byteOffset % 4)) % 4);
  if (head > 0) {
    const word = Math.floor(byteOffset / 4);
    patchWord(context, target, word, source.subarray(0, head), byteOffset % 4);
  }
  const whole = source.length - head - ((source.length - head) % 4);
  if (whole > 0) {
    const words = source.subarray(head, head + whole);
    uploadWords(context, staging, target, byteOffset + head, words);
  }
  const tail = source.subarray(head + whole);
  if (tail.length > 0) patchWord(context, target, (byteOffset + head + whole) / 4, tail, 0);
}
