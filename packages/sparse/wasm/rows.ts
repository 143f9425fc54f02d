// Jobs on packed feature rows: reductions of segments, and the two passes of group normalisation.
import { address, float, word } from '../../core/wasm/lib/job';
import { silu4 } from '../../core/wasm/lib/math';

const SUM: i32 = 0;
const MEAN: i32 = 1;
const MAX: i32 = 2;

// @ts-ignore: decorator
@inline
function join4(a: v128, b: v128, reduce: i32): v128 {
  if (reduce <= MEAN) return f32x4.add(a, b);
  return reduce === MAX ? f32x4.max(a, b) : f32x4.min(a, b);
}

/** `to = join(to, from)` over `bytes`. */
function joinRow(to: usize, from: usize, bytes: usize, reduce: i32): void {
  let j: usize = 0;
  for (; j + 16 <= bytes; j += 16) {
    v128.store(to + j, join4(v128.load(to + j), v128.load(from + j), reduce));
  }
  for (; j < bytes; j += 4) {
    const a = v128.load32_zero(to + j);
    const b = v128.load32_zero(from + j);
    store<f32>(to + j, f32x4.extract_lane(join4(a, b, reduce), 0));
  }
}

/**
 * One item is one segment. Words: 0 x, 1 order, 2 offsets, 3 out, 4 bytes of a row, 5 reduction (sum, mean, max, min),
 * 6 extra count (f32).
 */
export function segments(args: usize, begin: i32, end: i32, scratch: usize): void {
  const x = address(args, 0);
  const order = address(args, 1);
  const offsets = address(args, 2);
  const out = address(args, 3);
  const bytes = <usize>word(args, 4);
  const reduce = word(args, 5);
  const extra = float(args, 6);
  for (let segment = <usize>begin; segment < <usize>end; segment++) {
    const to = out + segment * bytes;
    const start = load<i32>(offsets + (segment << 2));
    const stop = load<i32>(offsets + (segment << 2), 4);
    if (stop <= start) {
      memory.fill(to, 0, bytes);
      continue;
    }
    memory.copy(to, x + <usize>load<u32>(order + (<usize>start << 2)) * bytes, bytes);
    for (let i = start + 1; i < stop; i++) {
      joinRow(to, x + <usize>load<u32>(order + (<usize>i << 2)) * bytes, bytes, reduce);
    }
    if (reduce !== MEAN) continue;
    const count = <f32>(stop - start) + extra;
    for (let j: usize = 0; j < bytes; j += 4) store<f32>(to + j, load<f32>(to + j) / count);
  }
}

/**
 * Sums of each channel and of its square over a run of rows, in f64. One item is one run.
 *
 * Words: 0 x, 1 runs (first row, row count), 2 sums (per run: channels sums, then channels sums of squares), 3 channels.
 */
export function channelSums(args: usize, begin: i32, end: i32, scratch: usize): void {
  const x = address(args, 0);
  const runs = address(args, 1);
  const channels = <usize>word(args, 3);
  const rowBytes = channels << 2;
  for (let run = <usize>begin; run < <usize>end; run++) {
    const sums = address(args, 2) + run * (channels << 4);
    const squares = sums + (channels << 3);
    memory.fill(sums, 0, channels << 4);
    let row = x + <usize>load<u32>(runs + (run << 3)) * rowBytes;
    const stop = row + <usize>load<u32>(runs + (run << 3), 4) * rowBytes;
    for (; row < stop; row += rowBytes) {
      let c: usize = 0;
      for (; c + 2 <= channels; c += 2) {
        const value = f64x2.promote_low_f32x4(v128.load64_zero(row + (c << 2)));
        const at = c << 3;
        v128.store(sums + at, f64x2.add(v128.load(sums + at), value));
        v128.store(squares + at, f64x2.add(v128.load(squares + at), f64x2.mul(value, value)));
      }
      for (; c < channels; c++) {
        const value = <f64>load<f32>(row + (c << 2));
        const at = c << 3;
        store<f64>(sums + at, load<f64>(sums + at) + value);
        store<f64>(squares + at, load<f64>(squares + at) + value * value);
      }
    }
  }
}

/** `(x - mean) * scale + bias`, then SiLU when asked for. */
// @ts-ignore: decorator
@inline
function normalize4(x: v128, mean: v128, scale: v128, bias: v128, silu: bool): v128 {
  const value = f32x4.add(f32x4.mul(f32x4.sub(x, mean), scale), bias);
  return silu ? silu4(value, 1) : value;
}

/**
 * Applies per-channel statistics to a run of rows. One item is one run.
 *
 * Words: 0 x, 1 runs (first row, row count, statistics address), 2 out, 3 channels, 4 SiLU. Statistics are three rows
 * of channels: mean, scale, bias.
 */
export function normalizeRuns(args: usize, begin: i32, end: i32, scratch: usize): void {
  const runs = address(args, 1);
  const rowBytes = <usize>word(args, 3) << 2;
  const silu = word(args, 4) !== 0;
  for (let run = <usize>begin; run < <usize>end; run++) {
    const entry = runs + run * 12;
    const offset = <usize>load<u32>(entry) * rowBytes;
    let from = address(args, 0) + offset;
    let to = address(args, 2) + offset;
    const stop = from + <usize>load<u32>(entry, 4) * rowBytes;
    const mean = <usize>load<u32>(entry, 8);
    const scale = mean + rowBytes;
    const bias = scale + rowBytes;
    for (; from < stop; from += rowBytes, to += rowBytes) {
      let j: usize = 0;
      for (; j + 16 <= rowBytes; j += 16) {
        const value = normalize4(
          v128.load(from + j),
          v128.load(mean + j),
          v128.load(scale + j),
          v128.load(bias + j),
          silu,
        );
        v128.store(to + j, value);
      }
      for (; j < rowBytes; j += 4) {
        const value = normalize4(
          v128.load_splat<f32>(from + j),
          v128.load_splat<f32>(mean + j),
          v128.load_splat<f32>(scale + j),
          v128.load_splat<f32>(bias + j),
          silu,
        );
        store<f32>(to + j, f32x4.extract_lane(value, 0));
      }
    }
  }
}
