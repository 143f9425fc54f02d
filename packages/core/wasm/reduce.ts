// Reductions of f32 over one axis, everything before and after it merged: x is [outer, extent, inner]. Sums are in f64.
import { address, word } from './lib/job';
import { highestOf, lowestOf, squaresOf, sumOf } from './lib/sum';

// The numbers of the reductions; src/cpu/kernels/reduce.ts holds the same list.
const SUM: i32 = 0;
const MEAN: i32 = 1;
const MAX: i32 = 2;
const MIN: i32 = 3;

/** Inner elements that one item of `reduceColumns` covers. */
const COLUMNS: i32 = 64;

function reduceRow(x: usize, count: i32, operation: i32): f32 {
  switch (operation) {
    case SUM:
      return <f32>sumOf(x, count);
    case MEAN:
      return <f32>(sumOf(x, count) / <f64>count);
    case MAX:
      return highestOf(x, count);
    case MIN:
      return lowestOf(x, count);
    default: {
      const mean = <f32>(sumOf(x, count) / <f64>count);
      return <f32>(squaresOf(x, count, mean) / <f64>count);
    }
  }
}

/** Inner extent 1. One item is one row. Words: 0 x, 1 out, 2 operation, 3 extent. */
export function reduceRows(args: usize, begin: i32, end: i32, scratch: usize): void {
  const extent = word(args, 3);
  for (let row = begin; row < end; row++) {
    const x = address(args, 0) + <usize>row * (<usize>extent << 2);
    store<f32>(address(args, 1) + (<usize>row << 2), reduceRow(x, extent, word(args, 2)));
  }
}

/** Sums of columns in f64 at `sums`; of `(x - mean)^2` when `means` (f64) is not 0. */
function sumColumns(x: usize, extent: i32, stride: usize, columns: i32, sums: usize, means: usize): void {
  memory.fill(sums, 0, <usize>columns << 3);
  for (let e = 0; e < extent; e++) {
    for (let j: usize = 0; j < <usize>columns; j++) {
      let value = <f64>load<f32>(x + (j << 2));
      if (means !== 0) {
        value -= load<f64>(means + (j << 3));
        value *= value;
      }
      store<f64>(sums + (j << 3), load<f64>(sums + (j << 3)) + value);
    }
    x += stride;
  }
}

function extremeColumns(x: usize, extent: i32, stride: usize, columns: i32, out: usize, operation: i32): void {
  for (let j: usize = 0; j < <usize>columns << 2; j += 4) {
    let value: f32 = operation === MAX ? -Infinity : Infinity;
    let at = x + j;
    for (let e = 0; e < extent; e++) {
      value = operation === MAX ? max(value, load<f32>(at)) : min(value, load<f32>(at));
      at += stride;
    }
    store<f32>(out + j, value);
  }
}

/** Any inner extent. One item is up to 64 inner elements. Words: 0 x, 1 out, 2 operation, 3 extent, 4 inner extent. */
export function reduceColumns(args: usize, begin: i32, end: i32, scratch: usize): void {
  const operation = word(args, 2);
  const extent = word(args, 3);
  const inner = word(args, 4);
  const stride = <usize>inner << 2;
  const blocks = (inner + COLUMNS - 1) / COLUMNS;
  const means = scratch + 1024;
  for (let item = begin; item < end; item++) {
    const outer = <usize>(item / blocks);
    const first = (item % blocks) * COLUMNS;
    const columns = min(COLUMNS, inner - first);
    const x = address(args, 0) + outer * <usize>extent * stride + (<usize>first << 2);
    const out = address(args, 1) + outer * stride + (<usize>first << 2);
    if (operation === MAX || operation === MIN) {
      extremeColumns(x, extent, stride, columns, out, operation);
      continue;
    }
    sumColumns(x, extent, stride, columns, scratch, 0);
    const variance = operation !== SUM && operation !== MEAN;
    if (variance) {
      for (let j: usize = 0; j < <usize>columns << 3; j += 8) {
        store<f64>(means + j, load<f64>(scratch + j) / <f64>extent);
      }
      sumColumns(x, extent, stride, columns, scratch, means);
    }
    for (let j: usize = 0; j < <usize>columns; j++) {
      const total = load<f64>(scratch + (j << 3));
      store<f32>(out + (j << 2), <f32>(operation === SUM ? total : total / <f64>extent));
    }
  }
}
