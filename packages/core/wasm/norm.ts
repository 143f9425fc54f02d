// Normalisation of rows and groups, the fused rows of diffusion transformers, and softmax. Statistics are sums in f64.
import { address, float, word } from './lib/job';
import { expNegative4, silu4 } from './lib/math';
import { highestOf, squaresOf, sumOf } from './lib/sum';

/** `(x - mean) * scale`, times `weight` and plus `bias` where they are given; contiguous rows. */
function affineRow(x: usize, out: usize, count: i32, mean: f32, scale: f32, weight: usize, bias: usize): void {
  const middle = f32x4.splat(mean);
  const factor = f32x4.splat(scale);
  let at: usize = 0;
  for (; at < <usize>(count & ~3) << 2; at += 16) {
    let value = f32x4.mul(f32x4.sub(v128.load(x + at), middle), factor);
    if (weight !== 0) value = f32x4.mul(value, v128.load(weight + at));
    if (bias !== 0) value = f32x4.add(value, v128.load(bias + at));
    v128.store(out + at, value);
  }
  for (; at < <usize>count << 2; at += 4) {
    let value = (load<f32>(x + at) - mean) * scale;
    if (weight !== 0) value *= load<f32>(weight + at);
    if (bias !== 0) value += load<f32>(bias + at);
    store<f32>(out + at, value);
  }
}

/** `(x - mean) * scale + shift` with numbers for the whole row. */
function scaleRow(x: usize, out: usize, count: i32, mean: f32, scale: f32, shift: f32): void {
  const middle = f32x4.splat(mean);
  const factor = f32x4.splat(scale);
  const offset = f32x4.splat(shift);
  let at: usize = 0;
  for (; at < <usize>(count & ~3) << 2; at += 16) {
    v128.store(out + at, f32x4.add(f32x4.mul(f32x4.sub(v128.load(x + at), middle), factor), offset));
  }
  for (; at < <usize>count << 2; at += 4) store<f32>(out + at, (load<f32>(x + at) - mean) * scale + shift);
}

// @ts-ignore: decorator
@inline
function inverseDeviation(squares: f64, count: f64, eps: f32): f32 {
  return <f32>(1 / sqrt<f64>(squares / count + <f64>eps));
}

/**
 * One item is one row.
 *
 * Words: 0 x, 1 weight or 0, 2 bias or 0, 3 out, 4 channels, 5 eps, 6 whether to subtract the mean (layer norm; else
 * root mean square).
 */
export function normRows(args: usize, begin: i32, end: i32, scratch: usize): void {
  const channels = word(args, 4);
  const bytes = <usize>channels << 2;
  for (let row = begin; row < end; row++) {
    const x = address(args, 0) + <usize>row * bytes;
    const mean: f32 = word(args, 6) !== 0 ? <f32>(sumOf(x, channels) / <f64>channels) : 0;
    const scale = inverseDeviation(squaresOf(x, channels, mean), <f64>channels, float(args, 5));
    const out = address(args, 3) + <usize>row * bytes;
    affineRow(x, out, channels, mean, scale, address(args, 1), address(args, 2));
  }
}

/**
 * One item is one group of channels of one batch element.
 *
 * Words: 0 x, 1 weight or 0, 2 bias or 0, 3 out, 4 groups, 5 eps, 6 channels of a group, 7 positions.
 */
export function normGroups(args: usize, begin: i32, end: i32, scratch: usize): void {
  const groups = word(args, 4);
  const channels = word(args, 6);
  const positions = word(args, 7);
  const count = channels * positions;
  const bytes = <usize>positions << 2;
  for (let group = begin; group < end; group++) {
    const start = <usize>group * (<usize>count << 2);
    let x = address(args, 0) + start;
    let out = address(args, 3) + start;
    const mean = <f32>(sumOf(x, count) / <f64>count);
    const inverse = inverseDeviation(squaresOf(x, count, mean), <f64>count, float(args, 5));
    let channel = <usize>((group % groups) * channels) << 2;
    for (let c = 0; c < channels; c++) {
      const weight: f32 = word(args, 1) === 0 ? 1 : load<f32>(address(args, 1) + channel);
      const bias: f32 = word(args, 2) === 0 ? 0 : load<f32>(address(args, 2) + channel);
      scaleRow(x, out, positions, mean, inverse * weight, bias);
      x += bytes;
      out += bytes;
      channel += 4;
    }
  }
}

/**
 * Vectors divided by their length, times gamma and the root of their dimension. One item is one row of heads.
 *
 * Words: 0 x, 1 gamma, 2 out, 3 heads, 4 dimension, 5 row stride and 6 head stride of x (bytes), 7 floor of the length.
 */
export function normHeads(args: usize, begin: i32, end: i32, scratch: usize): void {
  const heads = word(args, 3);
  const dimension = word(args, 4);
  const bytes = <usize>dimension << 2;
  const root = sqrt<f64>(<f64>dimension);
  const least = <f64>float(args, 7);
  for (let row = begin; row < end; row++) {
    for (let head: usize = 0; head < <usize>heads; head++) {
      const x = address(args, 0) + <usize>row * <usize>word(args, 5) + head * <usize>word(args, 6);
      const out = address(args, 2) + (<usize>row * <usize>heads + head) * bytes;
      const length = sqrt<f64>(squaresOf(x, dimension, 0));
      // Not max(): NaN must stay NaN.
      const scale = <f32>(root / (length < least ? least : length));
      affineRow(x, out, dimension, 0, scale, address(args, 1) + head * bytes, 0);
    }
  }
}

/** The batch element whose rows hold `row`, or -1. Offsets ascend; `from` is where to look first. */
function elementOf(offsets: usize, elements: i32, row: i32, from: i32): i32 {
  for (let i = max(0, from); i < elements; i++) {
    const at = offsets + (<usize>i << 2);
    if (row < load<i32>(at)) return -1;
    if (row < load<i32>(at, 4)) return i;
  }
  return -1;
}

/**
 * Layer norm without parameters, then `(1 + scale) x + shift` with the row of its batch element. One item is one row.
 *
 * Words: 0 x, 1 shift, 2 scale, 3 out, 4 channels, 5 eps, 6 offsets, 7 batch elements, 8 whether SiLU follows.
 */
export function normModulate(args: usize, begin: i32, end: i32, scratch: usize): void {
  const channels = word(args, 4);
  const bytes = <usize>channels << 2;
  const one = f32x4.splat(1);
  const activate = word(args, 8) !== 0;
  let element = 0;
  for (let row = begin; row < end; row++) {
    const x = address(args, 0) + <usize>row * bytes;
    const out = address(args, 3) + <usize>row * bytes;
    element = elementOf(address(args, 6), word(args, 7), row, element);
    if (element < 0) {
      memory.fill(out, 0, bytes);
      continue;
    }
    const mean = <f32>(sumOf(x, channels) / <f64>channels);
    const inverse = inverseDeviation(squaresOf(x, channels, mean), <f64>channels, float(args, 5));
    const shift = address(args, 1) + <usize>element * bytes;
    const scale = address(args, 2) + <usize>element * bytes;
    const middle = f32x4.splat(mean);
    const factor = f32x4.splat(inverse);
    let at: usize = 0;
    for (; at < <usize>(channels & ~3) << 2; at += 16) {
      const normal = f32x4.mul(f32x4.sub(v128.load(x + at), middle), factor);
      const value = f32x4.add(f32x4.mul(normal, f32x4.add(one, v128.load(scale + at))), v128.load(shift + at));
      v128.store(out + at, activate ? silu4(value, 1) : value);
    }
    for (; at < bytes; at += 4) {
      const normal = (load<f32>(x + at) - mean) * inverse;
      const value = f32x4.splat(normal * (1 + load<f32>(scale + at)) + load<f32>(shift + at));
      store<f32>(out + at, f32x4.extract_lane(activate ? silu4(value, 1) : value, 0));
    }
  }
}

/**
 * `x + h * gate` with the gate of the row's batch element. One item is one row.
 *
 * Words: 0 x, 1 h, 2 gate, 3 out, 4 channels, 5 offsets, 6 batch elements.
 */
export function gatedResidual(args: usize, begin: i32, end: i32, scratch: usize): void {
  const channels = word(args, 4);
  const bytes = <usize>channels << 2;
  let element = 0;
  for (let row = begin; row < end; row++) {
    const start = <usize>row * bytes;
    const x = address(args, 0) + start;
    const h = address(args, 1) + start;
    const out = address(args, 3) + start;
    element = elementOf(address(args, 5), word(args, 6), row, element);
    if (element < 0) {
      memory.copy(out, x, bytes);
      continue;
    }
    const gate = address(args, 2) + <usize>element * bytes;
    let at: usize = 0;
    for (; at < <usize>(channels & ~3) << 2; at += 16) {
      v128.store(out + at, f32x4.add(v128.load(x + at), f32x4.mul(v128.load(h + at), v128.load(gate + at))));
    }
    for (; at < bytes; at += 4) store<f32>(out + at, load<f32>(x + at) + load<f32>(h + at) * load<f32>(gate + at));
  }
}

/** Softmax of contiguous rows. One item is one row. Words: 0 x, 1 out, 2 channels. */
export function softmaxRows(args: usize, begin: i32, end: i32, scratch: usize): void {
  const channels = word(args, 2);
  const bytes = <usize>channels << 2;
  for (let row = begin; row < end; row++) {
    const x = address(args, 0) + <usize>row * bytes;
    const out = address(args, 1) + <usize>row * bytes;
    const highest = f32x4.splat(highestOf(x, channels));
    let at: usize = 0;
    for (; at < <usize>(channels & ~3) << 2; at += 16) {
      v128.store(out + at, expNegative4(f32x4.sub(v128.load(x + at), highest)));
    }
    for (; at < bytes; at += 4) {
      const value = expNegative4(f32x4.sub(v128.load_splat<f32>(x + at), highest));
      store<f32>(out + at, f32x4.extract_lane(value, 0));
    }
    scaleRow(out, out, channels, 0, <f32>(1 / sumOf(out, channels)), 0);
  }
}
